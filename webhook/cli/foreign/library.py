"""What the constraint kinds of the Gatekeeper library ask, in CEL or by a check.

Each says what the template of that name in open-policy-agent/gatekeeper-library does: which containers it looks at, how
it compares, and whether it leaves updates out. Our checks ask for more in most cases (they read short image names,
other writings of quantities, image volumes); CEL says the same, so that nobody is refused who was not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.cli.foreign import scope
from webhook.cli.foreign.outcome import Refusal, Spec
from webhook.cli.foreign.words import both, either, literal, quote

ALL = "containers"
LASTING = "(pod.spec.?containers.orValue([]) + pod.spec.?initContainers.orValue([]))"
"""The containers that may have resources."""
_CPU = r"^[0-9]+(\.[0-9]+)?m?$"
_MEMORY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind of constraint: what makes its rule, its parameters, the kinds it judges (none: what it is told to).

    `created`: updates are left out. `whole`: it looks at the object, and not at a pod.
    """

    make: Callable[[Parameters], Spec]
    parameters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("Pod",)
    created: bool = False
    whole: bool = False


def _each(parameters: Parameters, condition: str, message: str, among: str = ALL) -> Spec:
    """Return a rule on every container `c` but those whose image is exempt; it names those that break it."""
    exempt = either(_exempt(image) for image in _some(parameters, "exemptImages"))
    wanted = condition if exempt == "false" else f"{exempt} || ({condition})"
    return {
        "variables": [{"name": "bad", "expression": f"{among}.filter(c, !({wanted}))"}],
        "expression": "variables.bad.size() == 0",
        "message": message,
        "messageExpression": "variables.bad.map(c, 'container ' + c.?name.orValue('')).join(', ')",
    }


def _exempt(image: Any) -> str:
    text = str(image)
    if text.endswith("*"):
        return f"c.?image.orValue('').startsWith({quote(text[:-1])})"
    return f"c.?image.orValue('') == {quote(text)}"


def _texts(parameters: Parameters, key: str) -> list[str]:
    found = parameters.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(text, str) for text in found):
        raise Refusal(f"the parameter {key} is no list of texts", f"/spec/parameters/{key}")
    return found


def _some(parameters: Parameters, key: str) -> list[str]:
    return _texts(parameters, key) if parameters.get(key) else []


def _entries(parameters: Parameters, key: str) -> list[Mapping[str, Any]]:
    return scope.entries(parameters.get(key), f"/spec/parameters/{key}")


def _allowed_repos(parameters: Parameters) -> Spec:
    repos = _texts(parameters, "repos")
    fits = f"{literal(repos)}.exists(p, c.?image.orValue('').startsWith(p))"
    return _each({}, f"has(c.image) && {fits}", f"images begin with one of: {', '.join(repos)}")


def _disallowed_repos(parameters: Parameters) -> Spec:
    repos = _texts(parameters, "repos")
    fits = f"!{literal(repos)}.exists(p, c.?image.orValue('').startsWith(p))"
    return _each({}, f"!has(c.image) || {fits}", f"no image begins with: {', '.join(repos)}")


def _disallowed_tags(parameters: Parameters) -> Spec:
    tags = [f":{tag}" for tag in _texts(parameters, "tags")]
    image = "c.?image.orValue(':')"  # an image that is not there has no tag to speak of
    condition = f"{image}.contains(':') && !{literal(tags)}.exists(t, {image}.endsWith(t))"
    return _each(parameters, condition, f"images have a tag, and none of: {', '.join(parameters['tags'])}")


def _digests(parameters: Parameters) -> Spec:
    pattern = "@[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+"
    condition = f"!has(c.image) || c.image.matches({quote(pattern)})"
    return _each(parameters, condition, "images are named by digest")


def _bounded(which: str) -> Callable[[Parameters], Spec]:
    def make(parameters: Parameters) -> Spec:
        conditions = [f"c.?resources.?{which}.hasValue()"]
        said = []
        for name, written in (("cpu", _CPU), ("memory", _MEMORY)):
            most = parameters.get(name)
            if not isinstance(most, str):
                raise Refusal(f"has no {name}, which is not the same in all versions of its template")
            if most == "-1" and (which, name) == ("limits", "cpu"):
                continue
            if not re.match(written, most):
                raise Refusal(f"{name} is no number with a unit that its template reads: {most}")
            value = f"string(c.resources.{which}.{name})"
            conditions += [f"has(c.resources.{which}.{name})", f"{value}.matches({quote(written)})"]
            conditions.append(f"quantity({value}).compareTo(quantity({quote(most)})) <= 0")
            said.append(f"{name} of at most {most}")
        return _each(parameters, both(conditions), f"every container has {which}: {', '.join(said)}", LASTING)

    return make


def _required_resources(parameters: Parameters) -> Spec:
    conditions, said = [], []
    for which in ("limits", "requests"):
        for name in _some(parameters, which):
            conditions.append(f"c.?resources.?{which}[?{quote(str(name))}].hasValue()")
            said.append(f"{which} of {name}")
    if not conditions:
        raise Refusal("asks for no resources")
    return _each(parameters, both(conditions), f"every container has {', '.join(said)}", LASTING)


def _required_labels(parameters: Parameters) -> Spec:
    return _required("labels", parameters)


def _required_annotations(parameters: Parameters) -> Spec:
    return _required("annotations", parameters)


def _required(what: str, parameters: Parameters) -> Spec:
    entries = _entries(parameters, what)
    if not entries or not all(isinstance(entry.get("key"), str) for entry in entries):
        raise Refusal(f"the parameter {what} is no list of keys", f"/spec/parameters/{what}")
    have = f"object.metadata.?{what}.orValue({{}})"
    conditions = []
    for entry in entries:
        conditions.append(f"{quote(entry['key'])} in {have}")
        if entry.get("allowedRegex"):
            pattern = quote(str(entry["allowedRegex"]))
            conditions.append(f"object.metadata.{what}[{quote(entry['key'])}].matches({pattern})")
    message = parameters.get("message") or f"has the {what} {', '.join(entry['key'] for entry in entries)}"
    return {"expression": both(conditions), "message": str(message)}


def _required_probes(parameters: Parameters) -> Spec:
    probes, types = _texts(parameters, "probes"), _texts(parameters, "probeTypes")
    conditions = []
    for probe in probes:
        has = either(f"c.?{probe}.?{kind}.hasValue()" for kind in types)
        conditions.append(has)
    among = "pod.spec.?containers.orValue([])"
    return _each({}, both(conditions), f"every container has {' and '.join(probes)}", among)


def _replicas(parameters: Parameters) -> Spec:
    ranges = []
    for entry in _entries(parameters, "ranges"):
        low, high = entry.get("min_replicas"), entry.get("max_replicas")
        if not isinstance(low, int) or not isinstance(high, int):
            raise Refusal("a range has no whole min_replicas and max_replicas", "/spec/parameters/ranges")
        ranges.append(f"(object.spec.replicas >= {low} && object.spec.replicas <= {high})")
    if not ranges:
        raise Refusal("has no ranges, and so lets nothing through", "/spec/parameters")
    expression = both(("has(object.spec.replicas)", either(ranges)))
    return {"expression": expression, "message": "the number of replicas is within the ranges"}


def _https(_: Parameters) -> Spec:
    annotation = "object.metadata.?annotations[?'kubernetes.io/ingress.allow-http'].orValue('') == 'false'"
    message = "an Ingress has tls, and the annotation kubernetes.io/ingress.allow-http is false"
    return {"expression": f"object.?spec.?tls.orValue([]).size() > 0 && {annotation}", "message": message}


def _service(kind: str) -> Callable[[Parameters], Spec]:
    expression = f"object.?spec.?type.orValue('') != {quote(kind)}"
    return lambda _: {"expression": expression, "message": f"no Service is of the type {kind}"}


def _privileged(parameters: Parameters) -> Spec:
    return _each(parameters, "c.?securityContext.?privileged.orValue(false) != true", "no container is privileged")


def _escalation(parameters: Parameters) -> Spec:
    condition = "c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false"
    return _each(parameters, condition, "every container says allowPrivilegeEscalation: false")


def _read_only(parameters: Parameters) -> Spec:
    condition = "c.?securityContext.?readOnlyRootFilesystem.orValue(false) == true"
    return _each(parameters, condition, "every container says readOnlyRootFilesystem: true")


def _host_namespaces(_: Parameters) -> Spec:
    expression = "pod.spec.?hostPID.orValue(false) != true && pod.spec.?hostIPC.orValue(false) != true"
    return {"expression": expression, "message": "no pod shares the processes or the IPC of its node"}


def _host_ports(parameters: Parameters) -> Spec:
    conditions = [] if parameters.get("hostNetwork") is True else ["pod.spec.?hostNetwork.orValue(false) != true"]
    exempt = either(_exempt(image) for image in _some(parameters, "exemptImages"))
    if any(not isinstance(parameters.get(key, 0), int) for key in ("min", "max")):
        raise Refusal("min or max is no whole number", "/spec/parameters")
    bounds = [
        f"p.hostPort {sign} {parameters[key]}" for key, sign in (("min", ">="), ("max", "<=")) if key in parameters
    ]
    if bounds:
        inner = f"c.?ports.orValue([]).all(p, !has(p.hostPort) || ({both(bounds)}))"
        conditions.append(f"{LASTING}.all(c, {either((exempt, inner))})")
    if not conditions:
        raise Refusal("allows everything")
    return {"expression": both(conditions), "message": "the pod takes only what is allowed of its node's network"}


def _host_paths(parameters: Parameters) -> Spec:
    allow = []
    for entry in _entries(parameters, "allowedHostPaths"):
        prefix = entry.get("pathPrefix")
        if not isinstance(prefix, str) or not prefix.startswith("/") or "/.." in prefix or "//" in prefix:
            raise Refusal(f"{prefix} is no absolute path", "/spec/parameters/allowedHostPaths")
        allow.append({"prefix": prefix, **({"readOnly": True} if entry.get("readOnly") is True else {})})
    return {"check": "no-host-path", "params": {"allow": allow}}


def _capabilities(parameters: Parameters) -> Spec:
    allowed = [str(name).lower() for name in _some(parameters, "allowedCapabilities")]
    drop = [str(name).lower() for name in _some(parameters, "requiredDropCapabilities")]
    have = "c.?securityContext.?capabilities.?{}.orValue([])"
    conditions = []
    if "*" not in allowed:
        conditions.append(f"{have.format('add')}.all(a, a.lowerAscii() in {literal(allowed)})")
    if drop:
        dropped = f"{have.format('drop')}.map(d, d.lowerAscii())"
        conditions.append(f"('all' in {dropped} || {literal(drop)}.all(d, d in {dropped}))")
    if not conditions:
        raise Refusal("allows everything")
    said = f"capabilities are added only of {allowed}, and {drop} are dropped"
    return _each(parameters, both(conditions), said.replace("'", ""))


_EXEMPT = ("exemptImages",)
_BOUNDS = (*_EXEMPT, "cpu", "memory")
LIBRARY: Mapping[str, Entry] = {
    "K8sAllowedRepos": Entry(_allowed_repos, ("repos",)),
    "K8sBlockLoadBalancer": Entry(_service("LoadBalancer"), kinds=("Service",), whole=True),
    "K8sBlockNodePort": Entry(_service("NodePort"), kinds=("Service",), whole=True),
    "K8sContainerLimits": Entry(_bounded("limits"), _BOUNDS),
    "K8sContainerRequests": Entry(_bounded("requests"), _BOUNDS),
    "K8sDisallowedRepos": Entry(_disallowed_repos, ("repos",)),
    "K8sDisallowedTags": Entry(_disallowed_tags, (*_EXEMPT, "tags")),
    "K8sHttpsOnly": Entry(_https, kinds=("Ingress",), whole=True),
    "K8sImageDigests": Entry(_digests, _EXEMPT),
    "K8sPSPAllowPrivilegeEscalationContainer": Entry(_escalation, _EXEMPT, created=True),
    "K8sPSPCapabilities": Entry(
        _capabilities, (*_EXEMPT, "allowedCapabilities", "requiredDropCapabilities"), created=True
    ),
    "K8sPSPHostFilesystem": Entry(_host_paths, ("allowedHostPaths",), created=True),
    "K8sPSPHostNamespace": Entry(_host_namespaces, created=True),
    "K8sPSPHostNetworkingPorts": Entry(_host_ports, (*_EXEMPT, "hostNetwork", "min", "max"), created=True),
    "K8sPSPPrivilegedContainer": Entry(_privileged, _EXEMPT, created=True),
    "K8sPSPReadOnlyRootFilesystem": Entry(_read_only, _EXEMPT, created=True),
    "K8sReplicaLimits": Entry(_replicas, ("ranges",), kinds=(), whole=True),
    "K8sRequiredAnnotations": Entry(_required_annotations, ("annotations", "message"), kinds=(), whole=True),
    "K8sRequiredLabels": Entry(_required_labels, ("labels", "message"), kinds=(), whole=True),
    "K8sRequiredProbes": Entry(_required_probes, ("probes", "probeTypes"), created=True),
    "K8sRequiredResources": Entry(_required_resources, (*_EXEMPT, "limits", "requests")),
}
