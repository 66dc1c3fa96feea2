"""No request is lost while a release rolls out.

## What it does
Looks at the workloads that a controller rolls out: Deployment, StatefulSet, DaemonSet, Argo Rollout, and OpenKruise's
CloneSet, StatefulSet and DaemonSet. Where their pods serve, it asks for five things.

- **A readiness probe** on each container that serves, so that a new pod gets requests when it can answer them.
- **A wait before the end** in each container that serves: a `preStop` hook (`exec`, `httpGet` or `sleep`), since a pod
  that ends goes on getting requests until every node and load balancer has heard of it. A `sleep` shorter than
  `drainSeconds` is a finding, as an action and as the first command of an `exec` hook; what other hooks do is not
  in the manifest, and is believed.
- **Time to finish**: `terminationGracePeriodSeconds`, in which the hook and the shutdown must both end, is at least
  the drain (or the longest known sleep) and `marginSeconds` on top.
- **New pods before old ones go**: no more than `maxUnavailable` pods are missing during the rollout. Percentages are
  counted as the controllers do: with the default 25 % a Deployment of three loses none, one of four loses one, and
  with `maxSurge` at 0 it is never less than one. Where an autoscaler sets the number of replicas, its `minReplicas`
  count. `Recreate` stops every pod before the first new one starts.
- **`minReadySeconds`**, where the parameter asks for it.

A container serves if it is a normal container with `ports`, of which at least one is not under `ignorePorts`. So
workers without ports are not asked, nor those with a port for metrics only. Init and ephemeral containers serve nobody.
Native sidecars (`restartPolicy: Always`) end after the containers they stand beside, and need no wait of their own.

Jobs and CronJobs are never judged, nor bare Pods and ReplicaSets, which nobody rolls out. A Knative Service can have
no hook; its queue-proxy drains. Nor are kinds that a company adds: how they replace their pods, nobody here knows. Some
controllers differ, and are judged as they work:

- StatefulSets and DaemonSets take a pod away before they make its successor. `maxUnavailableWithoutSurge` is for
  them. How many nodes a DaemonSet has is not in its manifest: a percentage is compared with a percentage only, but
  100% is always a finding. With `OnDelete` a person replaces the pods, and decides how many are missing.
- An Argo Rollout with blue-green or with traffic routing keeps its old pods, so that `maxUnavailable` says nothing. One
  with a `workloadRef` has no template; the Deployment that it names has, and is judged.

## Why
A rollout ends every pod of a service. Each that ends while requests are on their way to it answers them with a refused
connection, and each that starts without a probe gets them before it listens. It is seen as a few errors at every
release, for which nobody finds a cause.

## Example
```yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example/shop/web:1.4.2
          ports: [{name: http, containerPort: 8080}]
```

## Use instead
```yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
        - name: web
          image: registry.example/shop/web:1.4.2
          ports: [{name: http, containerPort: 8080}]
          readinessProbe:
            httpGet: {path: /ready, port: http}
          lifecycle:
            preStop:
              sleep: {seconds: 5}
```

## Parameters
- `drainSeconds`: how long requests still come after a pod began to end; default 5. Load balancers outside of the
  cluster often take longer: measure it.
- `marginSeconds`: how long a container has to finish after the hook; default 10.
- `maxUnavailable`: how many pods may be missing during a rollout, a number or a percentage; default 0.
- `maxUnavailableWithoutSurge`: the same for StatefulSets and DaemonSets; at least 1, the default.
- `minReadySeconds`: how long a new pod must have been ready before an old one goes; default 0, which asks nothing.
- `allowRecreate`: whether a Deployment may stop all its pods first; default `false`.
- `ignorePorts`: globs on the names of ports at which no user is served.
- `selfDraining`: patterns of images that go on serving for a while after SIGTERM by themselves. They need no hook, and
  still the grace period.

`match.containers` does not choose among the containers, since the standard is the workload's: exempt a container by its
name and image. A Deployment that must not run twice at a time, since it holds a lock or a volume, is exempted by name:

```yaml
exemptions:
  - rules: [lossless-release]
    match: {namespaces: [shop], names: [ledger], kinds: [Deployment]}
    reason: one writer at a time; clients repeat their requests
    owner: payments team
    expires: 2027-03-31
```

## Fix
Adds `preStop: {sleep: {seconds: drainSeconds}}` where a container that serves has no hook, and lengthens a `sleep` that
is too short (never an `exec` hook). Raises `terminationGracePeriodSeconds` to what is needed. Sets `maxUnavailable` of
a rolling Deployment, canary Rollout or CloneSet to what is allowed, only where `maxSurge` lets a new pod come first.
Probes, `Recreate`, `minReadySeconds`, and the strategies of StatefulSets and DaemonSets stay as they are: only their
owner knows. The `sleep` action needs Kubernetes 1.30, and no shell in the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.model import hook as hooks
from webhook.model import image as images
from webhook.model import pointer as pointers
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.image import Pattern
from webhook.model.neighbours import Ref
from webhook.model.patch import Draft
from webhook.model.pods import Container, Pod, Subject, listing, mapping
from webhook.model.record import record
from webhook.model.rollout import Count, Rollout, count, rollout
from webhook.model.scaling import AUTOSCALERS, WITH_REPLICAS

ID = "lossless-release"
_SECONDS = {"type": "integer", "minimum": 0}
_COUNT = {"type": ["integer", "string"], "minimum": 0}
_TEXTS = {"type": "array", "items": {"type": "string"}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "drainSeconds": {
            **_SECONDS,
            "minimum": 1,
            "description": "How many seconds requests still come after a pod began to end.",
        },
        "marginSeconds": {**_SECONDS, "description": "How many seconds a container has to finish after its hook."},
        "maxUnavailable": {
            **_COUNT,
            "description": "How many pods may be missing during a rollout: a number, or a percentage such as 10%.",
        },
        "maxUnavailableWithoutSurge": {
            **_COUNT,
            "description": "The same for StatefulSets and DaemonSets, which can't do with less than 1.",
        },
        "minReadySeconds": {
            **_SECONDS,
            "description": "How many seconds a new pod must have been ready before an old one goes; 0 asks nothing.",
        },
        "allowRecreate": {"type": "boolean", "description": "Whether a Deployment may stop all its pods first."},
        "ignorePorts": {**_TEXTS, "description": "Globs on the names of ports at which no user is served."},
        "selfDraining": {**_TEXTS, "description": "Patterns of images that go on serving after SIGTERM."},
    },
}
DEFAULTS: dict[str, Any] = {
    "drainSeconds": 5,
    "marginSeconds": 10,
    "maxUnavailable": 0,
    "maxUnavailableWithoutSurge": 1,
    "minReadySeconds": 0,
    "allowRecreate": False,
    "ignorePorts": ["metrics", "*-metrics", "metrics-*", "prometheus", "prom", "jmx", "jmx-*", "debug", "jdwp"],
    "selfDraining": [],
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("object",)
CEL = "with one replica or none written it looks for the autoscaler beside the workload, and a policy sees one object"

# what the API server fills in: k8s.io/api core/v1, PodSpec.terminationGracePeriodSeconds
_GRACE = 30
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled."""

    drain: int
    margin: int
    unavailable: Count
    in_place: Count
    written: Mapping[bool, int | str]
    min_ready: int
    recreate: bool
    ignored: Globs
    draining: tuple[Pattern, ...]

    def serving(self, pod: Pod) -> list[Container]:
        """Return the containers of a pod that users' requests reach."""
        return [c for c in pod.containers if c.role == "container" and self.serves(c)]

    def serves(self, container: Container) -> bool:
        """Say whether users' requests reach a container."""
        return any([self._counts(port) for port in listing(container.spec.get("ports"))])

    def ports(self, container: Container) -> list[str]:
        """Return the ports at which a container serves, as a person would name them."""
        ports = [mapping(port) for port in listing(container.spec.get("ports"))]
        return [
            f"{port.get('containerPort')}" + (f" ({port['name']})" if port.get("name") else "")
            for port in ports
            if self._counts(port)
        ]

    def _counts(self, port: Any) -> bool:
        said = mapping(port)
        return bool(said.get("containerPort")) and not self.ignored(str(said.get("name") or ""))

    def drains_itself(self, container: Container) -> bool:
        """Say whether the container's image is known to serve on after SIGTERM."""
        return images.named(container.image, self.draining)


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for counts that are none, and for patterns that match no image."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    counts = {}
    for key, least in (("maxUnavailable", 0), ("maxUnavailableWithoutSurge", 1)):
        found = count(params[key])
        if found is None or found.number < least:
            wanted = f"wanted a number of {least} or more, or a percentage such as 10%"
            problems.append(((key,), f"{params[key]!r} is no number of pods; {wanted}"))
        counts[key] = found or Count(least, False)
    draining = []
    for number, text in enumerate(params["selfDraining"]):
        try:
            draining.append(images.pattern(text))
        except ValueError as error:
            problems.append((("selfDraining", number), str(error)))
    if problems:
        raise ParamError(problems)
    standard = Standard(
        drain=params["drainSeconds"],
        margin=params["marginSeconds"],
        unavailable=counts["maxUnavailable"],
        in_place=counts["maxUnavailableWithoutSurge"],
        written={False: params["maxUnavailable"], True: params["maxUnavailableWithoutSurge"]},
        min_ready=params["minReadySeconds"],
        recreate=params["allowRecreate"],
        ignored=compile_globs(params["ignorePorts"]),
        draining=tuple(draining),
    )
    return Check(
        subject=lambda subject: _judge(standard, subject),
        fix=lambda pod, draft: _fix_pod(standard, pod, draft),
        fix_subject=lambda subject, draft: _fix_strategy(standard, subject, draft),
        seeks=_seeks,
    )


def _seeks(subject: Subject) -> tuple[Ref, ...]:
    written = mapping(subject.object.get("spec")).get("replicas")
    asked = (subject.group, subject.kind) in WITH_REPLICAS and subject.pods and written in (None, 1)
    return (AUTOSCALERS,) if asked else ()


def _judge(standard: Standard, subject: Subject) -> Iterator[Violation]:
    found = rollout(subject)
    if found is None or not any(standard.serving(pod) for pod in subject.pods):
        return
    for pod in subject.pods:
        for container in standard.serving(pod):
            yield from _container(standard, container)
        yield from _grace(standard, pod)
    yield from _strategy(standard, found)
    yield from _min_ready(standard, found)


def _container(standard: Standard, container: Container) -> Iterator[Violation]:
    probe = mapping(container.spec.get("readinessProbe"))
    if not any(mapping(probe.get(handler)) for handler in _HANDLERS):
        found = f"port {', '.join(standard.ports(container))} and no readinessProbe"
        wanted = "a readinessProbe that succeeds once the container can answer requests"
        yield Violation(f"{container.pointer}/readinessProbe", "no readiness probe", found, wanted, container.name)
    if standard.drains_itself(container):
        return
    hook = hooks.stop(container)
    at = f"{container.pointer}/lifecycle/preStop"
    wanted = f"a preStop hook that waits until no more requests come, such as sleep: {{seconds: {standard.drain}}}"
    if not hook:
        yield Violation(at, "ends while requests still come", "no preStop hook", wanted, container.name)
    else:
        seconds = hooks.sleep(hook)
        if seconds is not None and seconds < standard.drain:
            found = f"a preStop hook that sleeps {seconds} seconds"
            wanted = f"{standard.drain} seconds or more"
            yield Violation(at, "preStop hook too short", found, wanted, container.name)


def _needed(standard: Standard, pod: Pod) -> tuple[int, int]:
    """Return how long the containers of a pod that serve drain, and the grace period that this needs, in seconds."""
    sleeps = (hooks.sleep(hooks.stop(container)) for container in standard.serving(pod))
    drain = max([standard.drain, *(seconds for seconds in sleeps if seconds is not None)])
    return drain, drain + standard.margin


def _grace(standard: Standard, pod: Pod) -> Iterator[Violation]:
    if not standard.serving(pod):
        return
    written = pod.spec.get("terminationGracePeriodSeconds")
    grace = _GRACE if written is None else written
    drain, needed = _needed(standard, pod)
    if isinstance(grace, int) and not isinstance(grace, bool) and grace < needed:
        found = f"terminationGracePeriodSeconds {grace}" + (" (the default)" if written is None else "")
        wanted = f"{needed} or more: {drain} to drain, {standard.margin} to finish"
        at = f"{pod.pointer}/spec/terminationGracePeriodSeconds"
        yield Violation(at, "killed before it can finish", found, wanted, extent=needed)


def _strategy(standard: Standard, found: Rollout) -> Iterator[Violation]:
    if found.kind == "Recreate":
        if not standard.recreate and found.replicas != 0:
            wanted = "RollingUpdate, which starts new pods before old ones go"
            at = f"{found.subject.pointer}/spec/strategy/type"
            yield Violation(at, "all pods end before a new one starts", "strategy Recreate", wanted)
    elif _too_many(standard, found):
        rolling = found.rolling
        shown = [f"maxUnavailable {_shown(found.written('maxUnavailable'), rolling.unavailable)}"]
        if rolling.surge is not None and found.surge == 0:
            shown.append(f"maxSurge {_shown(found.written('maxSurge'), rolling.surge)}")
        limit = standard.written[rolling.surge is None]
        yield Violation(
            found.pointer("maxUnavailable"),
            "pods end before new ones are ready",
            ", ".join(shown),
            f"maxUnavailable {limit}" + ("" if rolling.surge is None or limit else " and maxSurge above 0"),
        )


def _too_many(standard: Standard, found: Rollout) -> bool:
    """Say whether a rollout takes more pods away than is allowed."""
    most, surging, replicas, missing = found.unavailable, found.rolling.surge is not None, found.replicas, found.missing
    limit = standard.unavailable if surging else standard.in_place
    if not found.rolls or not replicas or most is None or missing is None:
        return False
    if most.percent and limit.percent and most.number <= limit.number:
        return False
    if found.rolling.nodes:
        if most.percent != limit.percent:
            return most.percent and most.number >= 100
        return most.number > limit.number
    return missing > max(0 if surging else found.least, limit.of(replicas, up=False))


def _min_ready(standard: Standard, found: Rollout) -> Iterator[Violation]:
    seconds = found.min_ready
    if seconds is not None and seconds < standard.min_ready:
        at = pointers.join(found.subject.pointer, *found.rolling.min_ready)
        yield Violation(at, "minReadySeconds too low", f"minReadySeconds {seconds}", f"{standard.min_ready} or more")


def _fix_pod(standard: Standard, pod: Pod, draft: Draft) -> None:
    for container in standard.serving(pod):
        lifecycle = container.spec.get("lifecycle")
        if standard.drains_itself(container) or not (lifecycle is None or isinstance(lifecycle, dict)):
            continue
        hook = hooks.stop(container)
        seconds = hooks.sleep(hook)
        if not hook:
            draft.put(f"{container.pointer}/lifecycle/preStop", {"sleep": {"seconds": standard.drain}})
        elif isinstance(hook.get("sleep"), dict) and seconds is not None and seconds < standard.drain:
            draft.put(f"{container.pointer}/lifecycle/preStop/sleep/seconds", standard.drain)
    for violation in _grace(standard, pod):
        draft.put(violation.pointer, _needed(standard, pod)[1])


def _fix_strategy(standard: Standard, subject: Subject, draft: Draft) -> None:
    found = rollout(subject)
    if found is None or found.rolling.surge is None or not any(standard.serving(pod) for pod in subject.pods):
        return
    if found.kind == "RollingUpdate" and found.open and found.surge > 0 and _too_many(standard, found):
        draft.put(found.pointer("maxUnavailable"), standard.written[False])


def _shown(written: object, default: int | str) -> str:
    return f"{default} (the default)" if written is None else str(written)
