"""Services find each other by name, not by address.

## What it does
Refuses IPv4 and IPv6 addresses of other machines, written out

- in the environment, the command and the arguments of containers, and in the commands of their probes and hooks,
- as the host of a probe or a hook, and in `hostAliases`,
- in the data of ConfigMaps,
- in Services: `externalName` that is an address, and `externalIPs`,
- in Endpoints and EndpointSlices made by hand.

In texts it understands URLs, `user:password@host`, lists of `host:port`, JDBC strings with one or several hosts,
connect descriptors of Oracle, IPv6 in brackets or bare, and IPv4-mapped IPv6. What is said of a value is the address,
never the value, which may hold a password.

Not meant are loopback (`127.0.0.1`, `::1`), `0.0.0.0` and `::`, masks, CIDRs and ranges, comments in files, names that
hold an address (`10.0.0.1.nip.io`), and numbers that only look like addresses: `v1.2.3.4`, `app-1.2.3.4.jar`,
`/opt/app/1.2.3.4`, `nginx:1.2.3.4`, `>= 1.2.3.4`, OIDs, MAC addresses, times. An address that ends in `.0` counts only
in a URL or with a port: elsewhere it is a network, or a version such as `19.3.0.0`. A bare `1.2.3.4` counts, unless the
name before it says that it is a version (`allowNames`).

## Why
An address belongs to a machine, and machines are replaced. Who has one written down points to nothing, or to someone
else, after the first move; a failover by DNS passes him by, and the change of one machine becomes the release of many
services.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      env:
        - {name: DB_URL, value: "jdbc:mysql://10.20.4.11:3306,10.20.4.12:3306/shop"}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      env:
        - {name: DB_URL, value: "jdbc:mysql://shop-db.shop.svc:3306/shop"}
```

A machine outside of the cluster gets a name by DNS, or by a Service of the type ExternalName.

## Parameters
- `allowRanges` (default: link-local and multicast): networks whose addresses may be written out, such as the
  address of the node-local DNS, or of a balancer whose address never changes.
- `allowNames` (default: names of versions, OIDs, and lists of what no proxy is used for): globs, in capital or small
  letters, of names whose value is not looked at. A name is that of a variable, of a key of a ConfigMap, or what stands
  before an address in a text: `version: 1.2.3.4`, `-Dapp.version=1.2.3.4`, `--tag 1.2.3.4`.
- `allowKeys` (default: none): globs of keys of ConfigMaps that are not looked at, such as `Corefile`.
- `controllers` (default: those of Kubernetes, Cilium and Submariner): globs of the values of the label
  `endpointslice.kubernetes.io/managed-by` by which controllers mark the EndpointSlices that they write. Endpoints are
  theirs with the label `endpoints.kubernetes.io/managed-by`, or with an owner; so is the address of a pod
  (`targetRef`), and `kubernetes` in the namespace default.

```yaml
params:
  allowRanges: [169.254.0.0/16, 10.96.0.10/32]
  allowNames: ["*VERSION", NO_PROXY, ALLOWED_CLIENTS]
```

## Fix
None. What the name is, or that there is none yet, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.model import pointer as pointers
from webhook.model.address import Address, find, literal, name_before, possible
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.pods import Container, Pod, Subject, listing, mapping
from webhook.model.record import record

ID = "no-ip-address"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "allowRanges": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Networks (CIDRs) whose addresses may be written out.",
        },
        "allowNames": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Globs, in any case, of names of variables, keys and settings whose value is no address.",
        },
        "allowKeys": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Globs of keys of ConfigMaps that are not looked at.",
        },
        "controllers": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Globs of the label managed-by of EndpointSlices that controllers write.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "allowRanges": ["169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8"],
    "allowNames": [
        "*VERSION",
        "*VERSIONS",
        "VER",
        "*_VER",
        "*RELEASE",
        "*REVISION",
        "*BUILD",
        "*BUILD_ID",
        "*BUILD_NUMBER",
        "*TAG",
        "OID",
        "*_OID",
        "*.OID",
        "NO_PROXY",
        "*NONPROXYHOSTS",
    ],
    "allowKeys": [],
    "controllers": ["*.k8s.io", "*.cilium.io", "*.submariner.io"],
}
KINDS: tuple[str, ...] = ("ConfigMap", "Endpoints", "EndpointSlice", "Service")
# for the other kinds, which have no pods, the whole object is compared in their place
READS: tuple[str, ...] = ("pod",)
CEL = "it goes by what stands around each address in a text, and CEL's findAll gives what it finds without its place"

REASON = "address instead of a name"
WANTED = "a name, of a Service or in DNS"
_SLICE_LABEL = "endpointslice.kubernetes.io/managed-by"
_ENDPOINTS_LABEL = "endpoints.kubernetes.io/managed-by"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_SHOWN = 3  # addresses that one finding names
_MOST = 1000  # addresses of one text that are looked at: a text with more is found by these


@record(frozen=True, slots=True)
class Standard:
    """The parameters, compiled."""

    ranges: tuple[IPv4Network | IPv6Network, ...]
    names: Globs
    keys: Globs
    controllers: Globs

    def allows(self, address: Address) -> bool:
        """Say whether an address may be written out."""
        return any(address.version == network.version and address in network for network in self.ranges)

    def named(self, name: str) -> bool:
        """Say whether the value of a name is not looked at."""
        return self.names(name.upper())


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for a range that is no network."""
    problems, ranges = [], []
    for number, written in enumerate(params["allowRanges"]):
        try:
            ranges.append(ip_network(written))
        except ValueError as error:
            problems.append((("allowRanges", number), f"{error}; wanted a network such as 169.254.0.0/16"))
    if problems:
        raise ParamError(problems)
    standard = Standard(
        tuple(ranges),
        compile_globs(glob.upper() for glob in params["allowNames"]),
        compile_globs(params["allowKeys"]),
        compile_globs(params["controllers"]),
    )
    return Check(pod=partial(_pod, standard), kept=_kept, subject=partial(_subject, standard))


def _kept(pod: Pod) -> bool:
    """Say whether no text of a pod can hold an address, as mostly."""
    if pod.spec.get("hostAliases"):
        return False
    for container in pod.containers:
        spec = container.spec
        for entry in listing(spec.get("env")):
            if possible(mapping(entry).get("value")):
                return False
        if _holds(spec.get("command")) or _holds(spec.get("args")):
            return False
        for field in _PROBES:
            if field in spec and _connects(spec[field]):
                return False
        hooks = mapping(spec.get("lifecycle"))
        if hooks and (_connects(hooks.get("postStart")) or _connects(hooks.get("preStop"))):
            return False
    return True


def _holds(words: Any) -> bool:
    """Say whether a word of a command line can hold an address."""
    return any([possible(word) for word in listing(words)])


def _connects(action: Any) -> bool:
    """Say whether a probe or a hook names a host, or can hold an address in its command."""
    said = mapping(action)
    if "host" in mapping(said.get("httpGet")) or "host" in mapping(said.get("tcpSocket")):
        return True
    return "exec" in said and _holds(mapping(said["exec"]).get("command"))


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    for number, alias in enumerate(listing(pod.spec.get("hostAliases"))):
        at = f"{pod.pointer}/spec/hostAliases/{number}/ip"
        names = ", ".join(str(name) for name in listing(mapping(alias).get("hostnames"))) or "no name"
        yield from _whole(standard, at, mapping(alias).get("ip"), f"for {names}", None)
    for container in pod.containers:
        yield from _container(standard, container)


def _container(standard: Standard, container: Container) -> Iterator[Violation]:
    for number, entry in enumerate(listing(container.spec.get("env"))):
        value = mapping(entry).get("value")
        if possible(value):
            name, at = entry.get("name"), f"{container.pointer}/env/{number}/value"
            yield from _text(standard, at, value, str(name), f"in {name}", container.name)
    for field in ("command", "args"):
        yield from _words(standard, f"{container.pointer}/{field}", container.spec.get(field), container.name)
    hooks = mapping(container.spec.get("lifecycle"))
    for field in _PROBES:
        yield from _action(standard, container, container.spec.get(field), field)
    for field in _HOOKS if hooks else ():
        yield from _action(standard, container, hooks.get(field), f"lifecycle/{field}")


def _action(standard: Standard, container: Container, action: Any, path: str) -> Iterator[Violation]:
    if not isinstance(action, dict):
        return
    at = f"{container.pointer}/{path}"
    for field in ("httpGet", "tcpSocket"):
        host = mapping(action.get(field)).get("host")
        if host is not None:
            where = f"as host of the {path.rpartition('/')[2]}"
            yield from _whole(standard, f"{at}/{field}/host", host, where, container.name)
    if "exec" in action:
        yield from _words(standard, f"{at}/exec/command", mapping(action["exec"]).get("command"), container.name)


def _words(standard: Standard, at: str, words: Any, container: str) -> Iterator[Violation]:
    """Judge a command or arguments; a word that is an option names the word behind it."""
    before = ""
    for number, word in enumerate(listing(words)):
        if possible(word):
            option = before.lstrip("-") if before.startswith("-") and "=" not in before else ""
            where = f"in {at.rpartition('/')[2]}"
            yield from _text(standard, f"{at}/{number}", word, option, where, container)
        before = word if isinstance(word, str) else ""


def _subject(standard: Standard, subject: Subject) -> Iterable[Violation]:
    kind = (subject.group, subject.kind)
    if kind == ("", "ConfigMap"):
        return _config(standard, subject)
    if kind == ("", "Service"):
        return _service(standard, subject)
    if kind == ("", "Endpoints"):
        return _endpoints(standard, subject)
    return _slice(standard, subject) if kind == ("discovery.k8s.io", "EndpointSlice") else ()


def _config(standard: Standard, subject: Subject) -> Iterator[Violation]:
    for key, value in sorted(mapping(subject.object.get("data")).items()):
        if not standard.keys(key):
            at = pointers.join(subject.pointer, "data", key)
            yield from _text(standard, at, value, key, f"in {key}", None)


def _service(standard: Standard, subject: Subject) -> Iterator[Violation]:
    spec, at = mapping(subject.object.get("spec")), f"{subject.pointer}/spec"
    if spec.get("type") == "ExternalName":
        yield from _whole(standard, f"{at}/externalName", spec.get("externalName"), "as externalName", None)
    for number, address in enumerate(listing(spec.get("externalIPs"))):
        yield from _whole(standard, f"{at}/externalIPs/{number}", address, "among externalIPs", None)


def _endpoints(standard: Standard, subject: Subject) -> Iterator[Violation]:
    owned = listing(mapping(subject.object.get("metadata")).get("ownerReferences"))
    of_the_api = (subject.namespace, subject.name) == ("default", "kubernetes")
    if _ENDPOINTS_LABEL in subject.labels or owned or of_the_api:
        return
    for first, subset in enumerate(listing(subject.object.get("subsets"))):
        for field in ("addresses", "notReadyAddresses"):
            for second, entry in enumerate(listing(mapping(subset).get(field))):
                if not mapping(mapping(entry).get("targetRef")):
                    at = f"{subject.pointer}/subsets/{first}/{field}/{second}/ip"
                    yield from _whole(standard, at, mapping(entry).get("ip"), "in Endpoints made by hand", None)


def _slice(standard: Standard, subject: Subject) -> Iterator[Violation]:
    manager = subject.labels.get(_SLICE_LABEL)
    of_the_api = (subject.namespace, subject.name) == ("default", "kubernetes")
    if of_the_api or (isinstance(manager, str) and standard.controllers(manager)):
        return
    for first, endpoint in enumerate(listing(subject.object.get("endpoints"))):
        if not mapping(mapping(endpoint).get("targetRef")):
            for second, address in enumerate(listing(mapping(endpoint).get("addresses"))):
                at = f"{subject.pointer}/endpoints/{first}/addresses/{second}"
                yield from _whole(standard, at, address, "in an EndpointSlice made by hand", None)


def _whole(standard: Standard, at: str, value: Any, where: str, container: str | None) -> Iterator[Violation]:
    address = literal(value)
    if address is not None and not standard.allows(address):
        yield Violation(at, REASON, f"{address} {where}", WANTED, container)


def _text(standard: Standard, at: str, value: Any, name: str, where: str, container: str | None) -> Iterator[Violation]:
    # names last: most texts hold no address, and that is quicker to see than whether a name is on a list
    if not isinstance(value, str) or next(find(value), None) is None or standard.named(name):
        return
    every = list(islice(find(value), _MOST + 1))
    addresses = dict.fromkeys(
        found.address
        for found in every[:_MOST]
        if not standard.allows(found.address) and not standard.named(name_before(value, found.at))
    )
    if addresses:
        texts = [str(address) for address in addresses]
        rest = [value] if len(every) > _MOST else []  # which may be anything
        same = tuple([f"{text} {where}" for text in (*texts, *rest)])
        yield Violation(at, REASON, f"{_listed(texts)} {where}", WANTED, container, same)


def _listed(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
