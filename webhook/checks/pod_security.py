"""Pods keep a level of Kubernetes' Pod Security Standards.

## What it does
Judges pods by the controls of a level of the [Pod Security Standards], `baseline` or `restricted`, as of Kubernetes
1.37. Of every pod it says what Kubernetes' own admission says of it; and it looks into workloads, where Kubernetes only
warns, says at which place, and can be exempted by container.

| control | wanted |
| --- | --- |
| `app-armor-profile` | none, `RuntimeDefault` or `Localhost`; the same of the annotations that came before the field |
| `capabilities` | none added that a runtime does not give; `restricted`: `ALL` dropped, only `NET_BIND_SERVICE` added |
| `host-namespaces` | no `hostIPC`, `hostNetwork`, `hostPID` |
| `host-path-volumes` | no volume of the type `hostPath`; in `restricted`, `volume-types` is in its place |
| `host-ports` | no `hostPort`, and no port with `hostNetwork` |
| `host-probes-and-lifecycle` | no `host` in probes and lifecycle hooks |
| `privilege-escalation` | `restricted`: `allowPrivilegeEscalation: false` in every container |
| `privileged` | no `privileged: true` |
| `proc-mount` | no `procMount` but `Default`; in `baseline` any, where the pod has `hostUsers: false` |
| `run-as-non-root` | `restricted`: `runAsNonRoot: true` for every container, or `hostUsers: false` |
| `run-as-user` | `restricted`: no `runAsUser: 0`, or `hostUsers: false` |
| `seccomp-profile` | none, `RuntimeDefault` or `Localhost`; `restricted`: every container has one of the two |
| `se-linux-options` | a type of containers, and neither user nor role |
| `sysctls` | only those that stay within the pod |
| `volume-types` | `restricted`: volumes that come from claims, or are made for the pod |
| `windows-host-process` | no `hostProcess: true` |

Of a pod that says `os: {name: windows}`, `capabilities`, `privilege-escalation` and `seccomp-profile` of `restricted`
are not asked: Windows has none of the three.

The volumes of `volume-types` are `configMap`, `csi`, `downwardAPI`, `emptyDir`, `ephemeral`, `image`,
`persistentVolumeClaim`, `projected` and `secret`.

[Pod Security Standards]: https://kubernetes.io/docs/concepts/security/pod-security-standards/

## Why
A container is a process of its node. What keeps it there are these settings, and each that is given away is a way to
the node, to its neighbours' memory and to the keys of everybody on it. `baseline` is what every service can keep as it
is, `restricted` what it can keep once its image has a user of its own.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      securityContext:
        privileged: true
        capabilities: {add: [SYS_ADMIN]}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  securityContext:
    runAsNonRoot: true
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      securityContext:
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
```

## Parameters
- `level` (default: `baseline`): `baseline` or `restricted`, which has all of baseline in it.
- `controls` (default: none, which is all of the level): those of them that this rule asks about, by the names above.
  With a rule for each, a company enforces one control after the other, and each says what to do.

```yaml
params:
  level: restricted
  controls: [run-as-non-root, run-as-user]
```

The packs `pod-security-baseline` and `pod-security-restricted` have a rule for each control of their level.

`match.containers` narrows a rule to some of the containers; what the pod says for all of them, and its volumes, is
looked at wherever one of its containers is in that scope.

## Fix
None. Whether a service needs what is taken from it only its tests tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from webhook.checks import spoken_security
from webhook.checks.check import Check, ParamError, Part
from webhook.checks.security_controls import BASELINE, CONTROLS, NUMBERED, RESTRICTED, Control, broken
from webhook.checks.spoken import Spoken, lacking
from webhook.model.decision import Violation
from webhook.model.pods import Pod

ID = "pod-security"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "level": {
            "type": "string",
            "enum": [BASELINE, RESTRICTED],
            "description": "The level of the Pod Security Standards.",
        },
        "controls": {
            "type": "array",
            "items": {"type": "string", "enum": sorted({control.name for control in CONTROLS})},
            "description": "The controls of that level that are asked about; where it is empty, all.",
        },
    },
}
DEFAULTS: dict[str, Any] = {"level": BASELINE, "controls": []}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)

_SPOKEN = {BASELINE: spoken_security.BASELINE, RESTRICTED: spoken_security.RESTRICTED}


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for a control that the level has not."""
    asked = _asked(params)
    bits = sum(bit for bit, control in NUMBERED if control in asked)
    return Check(pod=partial(_pod, asked), part=Part(broken, bits))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL: a variable for each control lists what does not keep it, `bad` all of that."""
    asked = _asked(params)
    texts = [_SPOKEN[control.level][control.name] for control in asked]
    if len(texts) == 1:
        return lacking((("bad", texts[0]),))
    names = [control.name.replace("-", "_") for control in asked]
    bad = " + ".join(f"variables.{name}" for name in names)
    return lacking((*zip(names, texts, strict=True), ("bad", bad)))


def _asked(params: Mapping[str, Any]) -> tuple[Control, ...]:
    level, names = params["level"], params["controls"]
    there = {control.name: control for control in CONTROLS if control.level == BASELINE}
    if level == RESTRICTED:
        del there["host-path-volumes"]
        there.update({control.name: control for control in CONTROLS if control.level == RESTRICTED})
    problems = []
    for number, name in enumerate(names):
        if name not in there:
            more = ""
            if name in {control.name for control in CONTROLS}:  # it is one of the other level
                more = "; for it write level: restricted" if level == BASELINE else "; volume-types is in its place"
            why = f"{name} is no control of {level}{more}; wanted one of {', '.join(sorted(there))}"
            problems.append((("controls", number), why))
    if problems:
        raise ParamError(problems)
    return tuple(there[name] for name in (dict.fromkeys(names) or sorted(there)))


def _pod(asked: tuple[Control, ...], pod: Pod) -> Iterable[Violation]:
    found = [(control, place) for control in asked for place in control.look(pod)]
    return [
        Violation(place.pointer, control.reason, place.value, control.wanted, place.name, place.same, place.reach)
        for control, place in found
    ]
