"""Probes help a container, and don't kill it.

## What it does
Looks at the probes of containers and sidecars. Init containers and ephemeral containers have none. A container
without probes passes.

- A liveness probe with the same handler as the readiness probe has to be more patient: `failureThreshold` times
  `periodSeconds` is larger. Handlers are compared with Kubernetes' defaults filled in and names of ports resolved.
- A container may take `startupSeconds` to start. Where there is a startup probe, its `initialDelaySeconds` plus
  `failureThreshold` times `periodSeconds` are at least that; the liveness probe waits for it and is not counted.
  Without one, the same is asked of the liveness probe.
- An `initialDelaySeconds` of the liveness probe above `longestDelay` asks for a startup probe.
- A port that is given by name is a port of the same container.
- An `exec` probe for readiness or liveness does not run oftener than every `execEvery` seconds.

## Why
A readiness probe takes a container out of service, a liveness probe kills it. Where both ask the same at the same
time, a service under load is restarted instead of relieved, one instance after the other. A liveness probe that comes
too early kills a slow start, and the next one, for ever. A long fixed delay leaves a hanging container alone after
every restart, and is too short on a slow day. A name that no port has makes every probe fail. A probe by `exec` starts
a process in the container each time, at the cost of the container's own CPU.

Kubernetes: tasks/configure-pod-container/configure-liveness-readiness-startup-probes; the defaults are those of
`SetDefaults_Probe`.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      ports: [{name: http, containerPort: 8080}]
      readinessProbe:
        httpGet: {path: /health, port: http}
        periodSeconds: 5
      livenessProbe:
        httpGet: {path: /health, port: http}
        periodSeconds: 5
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      ports: [{name: http, containerPort: 8080}]
      startupProbe:
        httpGet: {path: /live, port: http}
        periodSeconds: 2
        failureThreshold: 60
      readinessProbe:
        httpGet: {path: /ready, port: http}
        periodSeconds: 5
      livenessProbe:
        httpGet: {path: /live, port: http}
        periodSeconds: 10
        failureThreshold: 3
```

## Parameters
- `sameHandler`: a liveness probe with the handler of the readiness probe is let through when it is more patient
  (`patient`, the default), always (`allow`), or never (`never`).
- `startupSeconds`: how many seconds any container may take to start; default `30`, which is what a liveness probe
  with Kubernetes' defaults gives it. `0`: not asked.
- `longestDelay`: above how many seconds of `initialDelaySeconds` a startup probe is wanted; default `60`. `0`: never.
- `execEvery`: the shortest period of an `exec` probe in seconds; default `5`. `0`: not asked. Startup probes may run
  oftener, for they end.

```yaml
params:
  startupSeconds: 60
  execEvery: 10
```

## Fix
None. How long a service takes to start, and what says that it hangs, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check
from webhook.checks.spoken import Spoken, literal
from webhook.model.decision import Violation
from webhook.model.handler import handler, ports
from webhook.model.pods import Container, Pod, listing, mapping
from webhook.model.record import record

ID = "probes"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "sameHandler": {
            "type": "string",
            "enum": ["patient", "allow", "never"],
            "description": "When a liveness probe may have the handler of the readiness probe.",
        },
        "startupSeconds": {
            "type": "integer",
            "minimum": 0,
            "description": "Seconds that a container may take to start before a probe kills it; 0: not asked.",
        },
        "longestDelay": {
            "type": "integer",
            "minimum": 0,
            "description": "Above this initialDelaySeconds of a liveness probe, a startup probe is wanted; 0: never.",
        },
        "execEvery": {
            "type": "integer",
            "minimum": 0,
            "description": "The shortest period of an exec probe for liveness or readiness, in seconds; 0: not asked.",
        },
    },
}
DEFAULTS: dict[str, Any] = {"sameHandler": "patient", "startupSeconds": 30, "longestDelay": 60, "execEvery": 5}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
# what the API server fills in for a missing value and for 0
_DEFAULTS = {"periodSeconds": 10, "failureThreshold": 3, "initialDelaySeconds": 0}


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule."""

    same_handler: str
    startup: int
    longest_delay: int
    exec_every: int


@record(frozen=True, slots=True)
class Probe:
    """One probe of a container, its times in seconds with Kubernetes' defaults filled in."""

    key: str
    spec: Mapping[str, Any]
    pointer: str
    delay: int
    period: int
    threshold: int

    @property
    def patience(self) -> int:
        """How many seconds it goes on failing before it acts."""
        return self.period * self.threshold

    @property
    def shown(self) -> str:
        """How long a start may take, with the sum."""
        return f"{self.delay + self.patience} s ({self.delay} s + {self.threshold} x {self.period} s)"


def build(params: Mapping[str, Any]) -> Check:
    """Return the check."""
    standard = Standard(params["sameHandler"], params["startupSeconds"], params["longestDelay"], params["execEvery"])
    return Check(pod=partial(_pod, standard), kept=partial(_kept, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL: `rows` are the containers with their probes, `bad` those that do not keep it."""
    inside = "pod.spec.?{}.orValue([]).exists(o, o.?name.orValue('') == c.?name.orValue(''))"
    judged = (
        f"!{inside.format('ephemeralContainers')}"
        f" && (!{inside.format('initContainers')} || c.?restartPolicy.orValue('') == 'Always')"
    )
    probe = (
        f"{{'key': k, 'spec': c[k], 'delay': {_time('initialDelaySeconds')}, 'period': {_time('periodSeconds')},"
        f" 'patience': {_time('periodSeconds')} * {_time('failureThreshold')}, 'handler': {_said('c[k]')}}}"
    )
    probes = f"{literal(list(_PROBES))}.filter(k, {_full('c[?k]')}).map(k, {probe})"
    live, ready, startup = (f"r.probes.filter(p, p.key == '{key}')" for key in reversed(_PROBES))
    patient = {"never": "true", "patient": "l.patience <= p.patience", "allow": "false"}[params["sameHandler"]]
    wrong = (
        f"r.probes.exists(p, ['httpGet', 'tcpSocket'].exists(h, {_full('p.spec[?h]')} && {_lost_port()}))",
        f"r.probes.exists(p, p.key != 'startupProbe' && {_full('p.spec.?exec')} && p.period < {params['execEvery']})",
        f"{live}.exists(l, {ready}.exists(p, l.handler != '' && l.handler == p.handler && {patient}))",
        f"({startup}.size() > 0 ? {startup} : {live}).exists(p, p.delay + p.patience < {params['startupSeconds']}"
        f" || (p.key == 'livenessProbe' && {params['longestDelay']} > 0 && p.delay > {params['longestDelay']}))",
    )
    return Spoken(
        "variables.bad.size() == 0",
        "variables.bad.map(r, 'container ' + r.container.?name.orValue('')).join(', ')",
        (
            ("rows", f"containers.filter(c, {judged}).map(c, {{'container': c, 'probes': {probes}}})"),
            ("bad", f"variables.rows.filter(r, {' || '.join(wrong)})"),
        ),
    )


def _full(optional: str) -> str:
    """Return what says in CEL whether an optional value is a map with something in it."""
    return f"!({optional}.orValue(null) in [null, {{}}])"


def _time(field: str) -> str:
    value = f"c[k].?{field}.orValue(null)"
    return f"(type({value}) == int && {value} > 0 ? {value} : {_DEFAULTS[field]})"


def _lost_port() -> str:
    """Return what says in CEL whether a probe `p` asks by `h` for a port that its container does not name."""
    port = "p.spec[h].?port.orValue(0)"
    named = f"r.container.?ports.orValue([]).exists(q, q.?name.orValue('') == {port})"
    return f"type({port}) == string && {port} != '' && !{port}.matches('^[0-9]+$') && !{named}"


def _said(probe: str) -> str:
    """Return in CEL what a probe asks, as one text; empty where it asks nothing that Kubernetes knows."""

    def port(handler: str) -> str:
        written = f"{probe}.{handler}.?port.orValue('None')"
        named = f"c.?ports.orValue([]).filter(q, q.?name.orValue('') == {written})"
        number = f"string({named}[{named}.size() - 1].?containerPort.orValue('None'))"
        return f"(type({written}) == string && {named}.size() > 0 ? {number} : string({written}))"

    path = f"({probe}.httpGet.?path.orValue('').startsWith('/') ? '' : '/') + {probe}.httpGet.?path.orValue('')"
    scheme = f"({probe}.httpGet.?scheme.orValue('') == '' ? 'HTTP' : {probe}.httpGet.scheme)"
    header = "string(g.?name.orValue('None')).lowerAscii() + ': ' + string(g.?value.orValue('None'))"
    headers = f"{probe}.httpGet.?httpHeaders.orValue([]).map(g, {header}).sort().join('\\n')"
    http = f"'http\\n' + {probe}.httpGet.?host.orValue('') + '\\n' + {port('httpGet')} + '\\n' + {path}"
    tcp = f"'tcp\\n' + {probe}.tcpSocket.?host.orValue('') + '\\n' + {port('tcpSocket')}"
    grpc = f"'grpc\\n' + {port('grpc')} + '\\n' + {probe}.grpc.?service.orValue('')"
    command = f"{probe}.?exec.?command.orValue([])"
    return (
        f"({_full(probe + '.?httpGet')} ? {http} + '\\n' + {scheme} + '\\n' + {headers}"
        f" : {_full(probe + '.?tcpSocket')} ? {tcp} : {_full(probe + '.?grpc')} ? {grpc}"
        f" : {command}.size() > 0 ? 'exec\\n' + {command}.map(w, string(w)).join('\\n') : '')"
    )


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard, as most do."""
    for container in pod.containers:
        if container.role in ("container", "sidecar") and not _probed_well(standard, container):
            return False
    return True


def _probed_well(standard: Standard, container: Container) -> bool:
    startup, ready = mapping(container.spec.get("startupProbe")), mapping(container.spec.get("readinessProbe"))
    live = mapping(container.spec.get("livenessProbe"))
    for probe in (startup, ready, live):
        if "exec" in probe or not (_finds(container, probe, "httpGet") and _finds(container, probe, "tcpSocket")):
            return False
    if live and ready and not _differ(live, ready) and not _may_be_same(standard, live, ready):
        return False
    first = startup or live
    if not first:
        return True
    delay = _seconds(first, "initialDelaySeconds")
    if delay + _patience(first) < standard.startup:
        return False
    return bool(startup) or not 0 < standard.longest_delay < delay


def _finds(container: Container, probe: dict[str, Any], kind: str) -> bool:
    """Say whether a probe asks for no port by name, or for one that its container names."""
    port = mapping(probe.get(kind)).get("port")
    if not isinstance(port, str):
        return True
    return any([mapping(one).get("name") == port for one in listing(container.spec.get("ports"))])


def _differ(live: dict[str, Any], ready: dict[str, Any]) -> bool:
    """Say whether two probes plainly ask different things: different paths by HTTP."""
    one, other = mapping(live.get("httpGet")).get("path"), mapping(ready.get("httpGet")).get("path")
    texts = isinstance(one, str) and isinstance(other, str) and one.startswith("/") and other.startswith("/")
    return texts and one != other


def _may_be_same(standard: Standard, live: dict[str, Any], ready: dict[str, Any]) -> bool:
    if standard.same_handler == "patient":
        return _patience(live) > _patience(ready)
    return standard.same_handler == "allow"


def _patience(probe: dict[str, Any]) -> int:
    return _seconds(probe, "periodSeconds") * _seconds(probe, "failureThreshold")


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    for container in pod.containers:
        if container.role in ("container", "sidecar"):
            probes = {key: _probe(container, key) for key in _PROBES if mapping(container.spec.get(key))}
            if not probes:
                continue
            names = ports(container)
            for probe in probes.values():
                if "httpGet" in probe.spec or "tcpSocket" in probe.spec:
                    yield from _unknown_port(container, probe, names)
                if "exec" in probe.spec:
                    yield from _often(standard, container, probe)
            yield from _same(standard, container, probes, names)
            yield from _start(standard, container, probes)


def _probe(container: Container, key: str) -> Probe:
    spec = mapping(container.spec[key])
    return Probe(
        *(key, spec, f"{container.pointer}/{key}"),
        delay=_seconds(spec, "initialDelaySeconds"),
        period=_seconds(spec, "periodSeconds"),
        threshold=_seconds(spec, "failureThreshold"),
    )


def _seconds(spec: Mapping[str, Any], field: str) -> int:
    value = spec.get(field)
    # not a whole number above 0: the API server refuses it, or takes it for the default
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else _DEFAULTS[field]


def _same(
    standard: Standard, container: Container, probes: Mapping[str, Probe], names: Mapping[str, Any]
) -> Iterator[Violation]:
    live, ready = probes.get("livenessProbe"), probes.get("readinessProbe")
    if live is None or ready is None or standard.same_handler == "allow":
        return
    if standard.same_handler == "patient" and live.patience > ready.patience:
        return  # whatever they ask
    asks = handler(live.spec, names)
    if not asks or asks != handler(ready.spec, names):
        return
    wanted = "another handler"
    if standard.same_handler == "patient":
        wanted += f", or failureThreshold x periodSeconds above {ready.patience} s"
    yield Violation(
        live.pointer,
        "liveness probe does what the readiness probe does",
        f"both ask {_shown(live)}; unready after {ready.patience} s, killed after {live.patience} s",
        wanted,
        container.name,
        _same_as(live, f"{live.patience} {ready.patience}"),
    )


def _start(standard: Standard, container: Container, probes: Mapping[str, Probe]) -> Iterator[Violation]:
    probe = probes.get("startupProbe") or probes.get("livenessProbe")
    if probe is None:
        return
    if probe.delay + probe.patience < standard.startup:
        yield Violation(
            probe.pointer,
            f"{'startup' if probe.key == 'startupProbe' else 'liveness'} probe kills a slow start",
            f"killed when not started after {probe.shown}",
            f"at least {standard.startup} s, best by failureThreshold of a startupProbe",
            container.name,
            _same_as(probe, probe.shown),
        )
    if probe.key == "livenessProbe" and 0 < standard.longest_delay < probe.delay:
        yield Violation(
            f"{probe.pointer}/initialDelaySeconds",
            "slow start without a startup probe",
            f"initialDelaySeconds {probe.delay}, and no startupProbe",
            f"a startupProbe, and at most {standard.longest_delay} s of delay without one",
            container.name,
            _same_as(probe, f"{probe.delay}"),
        )


def _often(standard: Standard, container: Container, probe: Probe) -> Iterator[Violation]:
    if probe.key != "startupProbe" and mapping(probe.spec.get("exec")) and probe.period < standard.exec_every:
        yield Violation(
            f"{probe.pointer}/periodSeconds",
            "exec probe runs too often",
            f"{probe.key} runs {_shown(probe)} every {probe.period} s",
            f"every {standard.exec_every} s or more, or a probe by httpGet, tcpSocket or grpc",
            container.name,
            _same_as(probe, f"{probe.period}"),
        )


def _unknown_port(container: Container, probe: Probe, ports: Mapping[str, Any]) -> Iterator[Violation]:
    for kind in ("httpGet", "tcpSocket"):
        port = mapping(probe.spec.get(kind)).get("port")
        if isinstance(port, str) and port and not port.isdigit() and port not in ports:
            names = ", ".join(sorted(ports))
            yield Violation(
                f"{probe.pointer}/{kind}/port",
                "probe of a port that is not there",
                f"port {_clip(port)}; the container names {_clip(names) if names else 'no ports'}",
                "a number, or the name of a port of this container",
                container.name,
                _same_as(probe),
            )


def _same_as(probe: Probe, *times: str) -> tuple[str, ...]:
    """Return what a finding was there before by: which probe asks what, all of it, and at which times."""
    return (f"{probe.key} {handler(probe.spec)} {times}",)


def _shown(probe: Probe) -> str:
    if http := mapping(probe.spec.get("httpGet")):
        return _clip(f"{http.get('path') or '/'} at port {http.get('port')}")
    if tcp := mapping(probe.spec.get("tcpSocket")):
        return _clip(f"TCP port {tcp.get('port')}")
    if grpc := mapping(probe.spec.get("grpc")):
        return _clip(f"gRPC port {grpc.get('port')}")
    return _clip(" ".join(map(str, listing(mapping(probe.spec.get("exec")).get("command")))))


def _clip(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"
