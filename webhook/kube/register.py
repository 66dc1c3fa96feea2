"""`plimsoll serve --register`: webhook configurations by URL, for a cluster that one develops against.

They can't hurt: failurePolicy is always Ignore, names end in `-dev`, system namespaces are out, and they
are taken away at exit; what an exit by SIGKILL leaves behind is cleared at the next start. A real
installation is the chart's.

Facts of the API: kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers.
"""

from __future__ import annotations

import atexit
import base64
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from types import FrameType, MappingProxyType
from urllib.parse import urlsplit

import orjson

from webhook.errors import ConfigError, Problem
from webhook.kube.client import Access, ApiError, Client, Object
from webhook.model.kinds import OTHERS, SYSTEM_NAMESPACES
from webhook.model.pods import TABLE

LABEL = "app.kubernetes.io/managed-by"
OWNER = "plimsoll-dev"
SECONDS = 10.0
"""For each call that registers or takes away."""

_API = "/apis/admissionregistration.k8s.io/v1"
_RESOURCES = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}
_SECONDS = {"validate": 3, "advise": 3, "mutate": 1}

Kind = tuple[str, str]
RESOURCES: Mapping[Kind, str] = MappingProxyType({**OTHERS, **{(row.group, row.kind): row.resource for row in TABLE}})
"""The plural of each (group, kind) that is known without asking a cluster."""

# A rule on a resource never matches its subresources: each is named.
_SUBRESOURCES = {("", "pods"): ("ephemeralcontainers", "resize")}
# Who writes these can change a namespace's labels, too, one of which sets its mode.
_LABELLING = {("", "namespaces"): ("finalize", "status")}
_SCALED = frozenset(
    {
        ("", "replicationcontrollers"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("argoproj.io", "rollouts"),
        ("apps.kruise.io", "clonesets"),
        ("apps.kruise.io", "statefulsets"),
    }
)
# Kubernetes' own groups are matched in the one version that 1.30 to 1.37 all serve, to which `matchPolicy:
# Equivalent` converts the others; all else in any, since nobody knows which versions a cluster serves.
_VERSIONS = {
    **dict.fromkeys(("", "apps", "batch", "policy"), "v1"),
    "autoscaling": "v2",
    "discovery.k8s.io": "v1",
    "networking.k8s.io": "v1",
    "rbac.authorization.k8s.io": "v1",
    "scheduling.k8s.io": "v1",
    "storage.k8s.io": "v1",
}
# Nobody's rule may stand in their way: leases, events, nodes, certificates, tokens and access reviews.
_NEVER = (
    "coordination.k8s.io",
    "events.k8s.io",
    "certificates.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
)
_NEVER_CORE = ("Event", "Node", "Binding", "ComponentStatus")
_SCALE = ("autoscaling", "Scale")
# The API lets hardly anything in these change, so that fixes come at CREATE only.
_FIXED_AT_CREATE = (("", "pods"), ("batch", "jobs"))
# Nothing is fixed inside Karmada's Work and Clusternet's Manifest: their controllers would write it back.
_UNFIXED = ("work.karmada.io", "apps.clusternet.io")


def configurations(
    url: str,
    ca: bytes,
    kinds: Mapping[str, Iterable[Kind]],
    *,
    excluded: Iterable[str] = (),
    resources: Mapping[Kind, str] = RESOURCES,
    side_effects: bool = False,
) -> list[Object]:
    """Return the webhook configurations for a server at `url` (https) whose certificate `ca` (PEM) signed.

    `kinds` says for each endpoint (`validate`, `advise`, `mutate`) which (group, kind) its rules are about
    (`Ruleset.concerned`); an endpoint without kinds is left out, and so are leases, events, nodes,
    certificates, tokens and access reviews, in whose way no rule may stand. `excluded` are further
    namespaces to leave alone, those that every pack excludes. `resources` gives the plural of each kind; ""
    leaves it out (`discover` says so of kinds that the cluster doesn't have). `side_effects` says that the server
    writes down what it is asked, but for dry runs. Every field that the API
    server would default is written, so that reading back gives the same. Raises ConfigError for a URL that
    can't be called and for a kind whose plural isn't known.
    """
    _check(url)
    out = sorted({*SYSTEM_NAMESPACES, *excluded})
    hooks: dict[str, Object] = {}
    for endpoint in _SECONDS:
        rules = _rules(endpoint, _plurals(kinds.get(endpoint, ()), resources))
        if rules:
            hooks[endpoint] = _hook(endpoint, url, ca, rules, out)
            hooks[endpoint]["sideEffects"] = "NoneOnDryRun" if side_effects else "None"
    documents = []
    if validating := [hooks[endpoint] for endpoint in ("validate", "advise") if endpoint in hooks]:
        documents.append(_document("ValidatingWebhookConfiguration", "plimsoll-validating-dev", validating))
    if "mutate" in hooks:
        mutating = [{**hooks["mutate"], "reinvocationPolicy": "IfNeeded"}]
        documents.append(_document("MutatingWebhookConfiguration", "plimsoll-mutating-dev", mutating))
    return documents


def discover(client: Client, kinds: Mapping[str, Iterable[Kind]], timeout: float = SECONDS) -> dict[Kind, str]:
    """Return `RESOURCES` with the plurals of further `kinds` as this cluster has them, "" where it has none.

    Raises ApiError where the API server can't be asked.
    """
    resources = dict(RESOURCES)
    for group, kind in sorted({pair for pairs in kinds.values() for pair in pairs} - set(resources)):
        resources[group, kind] = _plural(client, group, kind, timeout)
    return resources


def guard(access: Access, *, yes: bool = False) -> None:
    """Refuse an API server that isn't on this machine, but for `yes`.

    Raises ConfigError where the host of its URL isn't loopback in every address that it resolves to, where
    it is reached through a proxy, and where it doesn't resolve. (A tunnel on loopback can lead anywhere;
    nobody can see.)
    """
    if yes:
        return
    host = urlsplit(access.url).hostname or ""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise _refused(f"{host} doesn't resolve ({error.strerror})") from error
    if access.proxy:
        raise _refused(f"{access.url} is reached through the proxy {access.proxy}")
    far = sorted(address for address in found if not _loopback(address))
    if far:
        raise _refused(f"the API server {access.url} is not on this machine ({host} is {', '.join(far)})")


def register(client: Client, documents: Sequence[Object], timeout: float = SECONDS) -> list[str]:
    """Make the cluster hold `documents` and no others of ours; write only where there is a difference.

    Each call may take `timeout` seconds. Returns a sentence for each thing done. Raises ConfigError where a
    configuration of the same name isn't ours, and where the API server refuses or can't be reached.
    """
    wanted = {(document["kind"], document["metadata"]["name"]) for document in documents}
    lines = []
    with _plainly():
        for kind, resource in _RESOURCES.items():
            for held in client.items(f"{_API}/{resource}", timeout, {"labelSelector": f"{LABEL}={OWNER}"}):
                name = held["metadata"]["name"]
                if (kind, name) not in wanted and _delete(client, kind, held, timeout):
                    lines.append(f"cleared {kind} {name}, left from an earlier run")
        lines += [_write(client, document, timeout) for document in documents]
    return lines


def unregister(client: Client, documents: Sequence[Object], timeout: float = SECONDS) -> list[str]:
    """Take `documents` away, but for one that another server has written over since; return what was done.

    Raises ApiError where the API server can't be reached or refuses.
    """
    lines = []
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        held = _read(client, document, timeout)
        if held is None:
            continue
        if not _same(held, document):
            lines.append(f"left {kind} {name}: another server has changed it")
        elif _delete(client, kind, held, timeout):
            lines.append(f"took away {kind} {name}")
    return lines


@contextmanager
def registered(client: Client, documents: Sequence[Object], say: Callable[[str], None]) -> Iterator[None]:
    """Register for as long as the block runs, and take away at its end, at exit and at SIGTERM.

    Only the process that registered takes away: a forked worker that ends leaves all as it is. A SIGTERM
    handler is set only where there is none, so that a server's own graceful stop goes on working. `say`
    gets each sentence.
    """
    home = os.getpid()
    done: list[bool] = []

    def leave() -> None:
        if done or os.getpid() != home:
            return
        done.append(True)
        try:
            for line in unregister(client, documents):
                say(line)
        except ApiError as error:
            say(f"the webhook configurations stay until the next start, harmless by Ignore: {error}")

    def stop(signum: int, frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    # Before the first write: a start that is broken off half-way is cleaned up too.
    atexit.register(leave)
    with suppress(ValueError):  # only the main thread may set handlers
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, stop)
    try:
        for line in register(client, documents):
            say(line)
        yield
    finally:
        leave()
        atexit.unregister(leave)


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn what the API server says into a mistake of the setup, which it is at start."""
    try:
        yield
    except ApiError as error:
        advice = "; the kubeconfig's user may not write webhook configurations" if error.status == 403 else ""
        raise ConfigError([Problem("--register", 0, "", f"{error}{advice}")]) from error


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        text = f"{url!r} can't be called by an API server: https://host:port is wanted"
        raise ConfigError([Problem("--register", 0, "", text)])


def _plural(client: Client, group: str, kind: str, timeout: float) -> str:
    try:
        if group:
            versions = client.get(f"/apis/{group}", timeout).get("versions") or []
            roots = [f"/apis/{version['groupVersion']}" for version in versions]
        else:
            roots = ["/api/v1"]
        for root in roots:
            for resource in client.get(root, timeout).get("resources") or []:
                if resource["kind"] == kind and "/" not in resource["name"]:
                    return str(resource["name"])
    except ApiError as error:
        if error.status != 404:
            raise
    return ""


def _plurals(kinds: Iterable[Kind], resources: Mapping[Kind, str]) -> list[tuple[str, str]]:
    """Return (group, plural) of `kinds`, and of everything that scales where `Scale` itself is meant."""
    problems = []
    found: set[tuple[str, str]] = set()
    for group, kind in sorted(set(kinds)):
        if (group, kind) == _SCALE:
            found |= {(held, f"{plural}/scale") for held, plural in _SCALED}
        elif group in _NEVER or (not group and kind in _NEVER_CORE):
            continue
        elif (plural := resources.get((group, kind))) is None:
            text = f"the plural of {group}/{kind} isn't known; has the cluster such a kind?"
            problems.append(Problem("--register", 0, "", text))
        elif plural:
            found.add((group, plural))
    if problems:
        raise ConfigError(problems)
    return sorted(found)


def _rules(endpoint: str, found: Iterable[tuple[str, str]]) -> list[Object]:
    grouped: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for group, plural in found:
        names = {plural}
        operations: tuple[str, ...] = ("CREATE", "UPDATE")
        if endpoint != "mutate":
            names |= {f"{plural}/{sub}" for sub in _SUBRESOURCES.get((group, plural), ())}
            names |= {f"{plural}/scale"} if (group, plural) in _SCALED else set()
            names |= {f"{plural}/{sub}" for sub in _LABELLING.get((group, plural), ()) if endpoint == "advise"}
        elif group in _UNFIXED or "/" in plural:
            continue
        elif (group, plural) in _FIXED_AT_CREATE:
            operations = ("CREATE",)
        grouped.setdefault((group, operations), set()).update(names)
    return [
        {
            "apiGroups": [group],
            "apiVersions": [_VERSIONS.get(group, "*")],
            "operations": list(operations),
            "resources": sorted(names),
            "scope": "*",
        }
        for (group, operations), names in sorted(grouped.items())
    ]


def _hook(endpoint: str, url: str, ca: bytes, rules: list[Object], excluded: list[str]) -> Object:
    return {
        "name": f"{endpoint}.plimsoll.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "caBundle": base64.b64encode(ca).decode("ascii"),
            "url": f"{url.rstrip('/')}/{endpoint}",
        },
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded}]
        },
        "objectSelector": {},
        "rules": rules,
        "timeoutSeconds": _SECONDS[endpoint],
        **({"matchConditions": conditions()} if endpoint == "advise" else {}),
    }


def conditions(ourselves: str | None = None) -> list[Object]:
    """Return the `matchConditions` of `/advise`: by userInfo, never by what the object's writer controls.

    They leave out the control plane, its controllers and nodes, and the user name `ourselves`: they write
    EndpointSlices and the like without end, and nobody reads their warnings. The Pods that controllers make are
    looked at all the same, or a pack on trial would not see what others inject into them.
    """
    user = "request.userInfo.username"
    control_plane = "['system:apiserver', 'system:kube-controller-manager', 'system:kube-scheduler']"
    pods = "request.resource.resource == 'pods'"
    tests = {
        "no-system-service-accounts": f"{pods} || !{user}.startsWith('system:serviceaccount:kube-system:')",
        "no-control-plane": f"{pods} || !({user} in {control_plane})",
        # A caller without groups has no such field, and an error would leave the call out.
        "no-nodes": "!(has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups)",
    }
    if ourselves:
        # A JSON string is a CEL string.
        tests["not-ourselves"] = f"{user} != {orjson.dumps(ourselves).decode()}"
    return [{"name": name, "expression": expression} for name, expression in tests.items()]


def _document(kind: str, name: str, hooks: list[Object]) -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {LABEL: OWNER}},
        "webhooks": hooks,
    }


def _path(kind: str, name: str = "") -> str:
    return f"{_API}/{_RESOURCES[kind]}" + (f"/{name}" if name else "")


def _read(client: Client, document: Object, timeout: float) -> Object | None:
    try:
        return client.get(_path(document["kind"], document["metadata"]["name"]), timeout)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _write(client: Client, document: Object, timeout: float) -> str:
    kind, name = document["kind"], document["metadata"]["name"]
    held = _read(client, document, timeout)
    if held is None:
        client.call("POST", _path(kind), timeout, document)
        return f"registered {kind} {name}"
    metadata = held["metadata"]
    if (metadata.get("labels") or {}).get(LABEL) != OWNER:
        text = f"{kind} {name} is there and not ours (label {LABEL}={OWNER}); delete it, or rename it"
        raise ConfigError([Problem("--register", 0, "", text)])
    if _same(held, document):
        return f"{kind} {name} is as it should be"
    # With the version that was read: of two servers that start at once, one is refused and says so.
    meant = {**document["metadata"], "resourceVersion": metadata["resourceVersion"]}
    client.call("PUT", _path(kind, name), timeout, {**document, "metadata": meant})
    return f"renewed {kind} {name}"


def _same(held: Object, document: Object) -> bool:
    return bool(held.get("webhooks") == document["webhooks"])


def _delete(client: Client, kind: str, held: Object, timeout: float) -> bool:
    """Delete exactly what was read; False where it has gone or changed meanwhile."""
    metadata = held["metadata"]
    exact = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": exact}
    try:
        client.call("DELETE", _path(kind, metadata["name"]), timeout, body)
    except ApiError as error:
        if error.status in (404, 409):
            return False
        raise
    return True


def _loopback(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _refused(text: str) -> ConfigError:
    advice = "development webhooks are meant for a cluster on loopback; give --yes if it is meant"
    return ConfigError([Problem("--register", 0, "", f"{text}; {advice}")])
