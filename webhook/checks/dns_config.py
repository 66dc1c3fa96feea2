"""Names resolve, and cheaply.

## What it does
Looks at `dnsPolicy` and `dnsConfig` of pods.

- **ndots**: a pod that resolves through the cluster's DNS has an option `ndots` of at most `ndots`. Where a pod says
  nothing, the kubelet writes 5. With `dnsPolicy: Default` or `None` the value is the node's or the resolver's own, and
  is judged only where the pod gives one. Of several the last counts, as for the kubelet. An option whose *name* is
  `ndots:2` is none: the kubelet then writes both `ndots:2` and its own `ndots:5`.
- **hostNetwork**: a pod in the node's network with `dnsPolicy: ClusterFirst`, or none, gets the node's resolver and
  does not find Services. It says `ClusterFirstWithHostNet`, or, where the node's resolver is meant, `Default`. Pods of
  a DaemonSet are no exception.
- **options** and **searches** that the pack wants are there, in pods that resolve through the cluster's DNS.
- **nameservers**, **searches** and **policies** are those that the pack allows.

Pods for Windows (`os.name: windows`) are judged by their nameservers, searches and policy alone.

## Why
With `ndots:5`, a look-up of `api.partner.example` is first tried in every search domain: four questions (each for IPv4
and IPv6) that can only fail, for one that is answered. That is most of the load on many clusters' DNS, and when it is
slow, every service is. A nameserver in a manifest outlives the server.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  dnsConfig:
    options: [{name: ndots, value: "2"}]
  containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]
```

## Parameters
- `ndots` (default: 2): the most dots that may be asked for; 15 leaves them alone. With 2, `web` and `web.shop` are
  found as before. `web.shop.svc` is asked for as it stands first: glibc then goes on to the search domains, musl
  (Alpine) does not, and such images want the whole name, `web.shop.svc.cluster.local`.
- `hostNetwork` (default: true): whether pods in the node's network have to say their policy.
- `options` (default: none): options that have to be there; with a `value`, exactly that one. Not `ndots`.
- `searches` (default: none): search domains that have to be there.
- `allowedSearches` (default: any): globs; no other search domain may be there.
- `nameservers` (default: any): addresses and ranges; no other nameserver may be there.
- `policies` (default: any): the values of `dnsPolicy` that are allowed.

```yaml
params:
  ndots: 2
  options: [{name: single-request-reopen}, {name: timeout, value: "2"}]
  nameservers: [10.96.0.0/16]
```

## Fix
Merges: sets `ndots`, adds missing options and search domains, corrects the value of an option that is there, and sets
`ClusterFirstWithHostNet`. Every other option stays as it is. It takes no nameserver or search domain away, and leaves
policies alone that are not allowed: what the pod resolves by them, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import Each, Mend, Put, Spoken, globbed, literal
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.patch import Draft
from webhook.model.pods import Pod, listing, mapping
from webhook.model.record import record

ID = "dns-config"
POLICIES = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]
_TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ndots": {
            "type": "integer",
            "minimum": 1,
            "maximum": 15,
            "description": "The most dots that may be asked for.",
        },
        "hostNetwork": {
            "type": "boolean",
            "description": "Whether pods in the node's network have to say their policy.",
        },
        "options": {
            "type": "array",
            "description": "Options that have to be there.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "minLength": 1, "description": "The name of an option."},
                    "value": {"type": "string", "description": "The value it has to have; any, where none is given."},
                },
            },
        },
        "searches": {**_TEXTS, "description": "Search domains that have to be there."},
        "allowedSearches": {**_TEXTS, "description": "Globs of the search domains that may be there."},
        "nameservers": {**_TEXTS, "description": "Addresses and ranges of the nameservers that may be there."},
        "policies": {
            "type": "array",
            "items": {"enum": POLICIES},
            "description": "The values of dnsPolicy that are allowed.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "ndots": 2,
    "hostNetwork": True,
    "options": [],
    "searches": [],
    "allowedSearches": ["*"],
    "nameservers": ["0.0.0.0/0", "::/0"],
    "policies": POLICIES,
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)

_OPTIONS = ("spec", "dnsConfig", "options")
_KUBELET = 5  # ndots for pods with the cluster's DNS (pkg/kubelet/network/dns, defaultDNSOptions)
_MOST = 15  # RES_MAXNDOTS: glibc takes more for 15
_FIRST, _WITH_HOST_NET = "ClusterFirst", "ClusterFirstWithHostNet"


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule; `options` are (name, value or None)."""

    ndots: int
    host_network: bool
    options: tuple[tuple[str, str | None], ...]
    searches: tuple[str, ...]
    allowed_searches: Globs
    nameservers: tuple[IPv4Network | IPv6Network, ...]
    policies: tuple[str, ...]


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for nameservers that are no address or range, and contradictions."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    networks = []
    for number, text in enumerate(params["nameservers"]):
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            problems.append((("nameservers", number), f"{error}; wanted such as 10.96.0.10 or 10.96.0.0/16"))
    allowed = compile_globs(params["allowedSearches"])
    for number, search in enumerate(params["searches"]):
        if not allowed(search):
            problems.append((("searches", number), f"{search!r} is wanted, and no `allowedSearches` allows it"))
    names = [entry["name"] for entry in params["options"]]
    for number, name in enumerate(names):
        if name == "ndots":
            problems.append((("options", number, "name"), "ndots has a parameter of its own"))
        elif name in names[:number]:
            problems.append((("options", number, "name"), f"{name!r} is named twice"))
    if params["hostNetwork"] and _FIRST in params["policies"] and _WITH_HOST_NET not in params["policies"]:
        problems.append((("policies",), f"wanted {_WITH_HOST_NET} too, for pods in the node's network"))
    if problems:
        raise ParamError(problems)
    standard = Standard(
        params["ndots"],
        params["hostNetwork"],
        tuple((entry["name"], entry.get("value")) for entry in params["options"]),
        tuple(params["searches"]),
        allowed,
        tuple(networks),
        tuple(params["policies"]),
    )
    return Check(pod=partial(_pod, standard), kept=partial(_kept, standard), fix=partial(_fix, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL."""
    ndots, host = params["ndots"], str(params["hostNetwork"]).lower()
    ranges = literal([str(ip_network(text)) for text in params["nameservers"]])
    # Python takes an IPv4 address in IPv6's clothes for one of IPv6, Kubernetes' isIP for none
    mapped = " || s.lowerAscii().startsWith('::ffff:')" if "::/0" in params["nameservers"] else ""
    among = f"(isIP(s) && {ranges}.exists(r, cidr(r).containsIP(s))){mapped}"
    option = "pod.spec.?dnsConfig.?options.orValue([]).filter(o, o.?name.orValue('') == {})"
    domains = "pod.spec.?dnsConfig.?searches.orValue([])"
    wishes = []
    for entry in params["options"]:
        found = option.format(literal(entry["name"]))
        kept = f"{found}.size() > 0"
        if "value" in entry:
            kept += f" && {found}[{found}.size() - 1].?value.orValue(null) == {literal(entry['value'])}"
        wishes.append((kept, f"option {entry['name']} missing or other"))
    wishes += [(f"{literal(search)} in {domains}", f"no search domain {search}") for search in params["searches"]]
    lacking = " + ".join(f"({kept} ? [] : [{literal(text)}])" for kept, text in wishes) or "[]"
    dots = "(variables.ndots.matches('^[0-9]{1,9}$') ? int(variables.ndots) : 99)"
    resolver = f"variables.through && {ndots} < {_KUBELET} ? ['no option ndots'] : []"
    slow = (
        f"(variables.windows ? [] : variables.options.size() == 0 ? ({resolver})"
        f" : {dots} == 99 || ({dots} > {_MOST} ? {_MOST} : {dots}) > {ndots} ? ['ndots ' + variables.ndots] : [])"
    )
    bad = (
        f"(variables.lost ? ['hostNetwork: true with the resolver of the node']"
        f" : !(variables.policy in {literal(params['policies'])}) ? ['dnsPolicy ' + variables.policy] : [])"
        f" + pod.spec.?dnsConfig.?nameservers.orValue([]).filter(s, !({among})).map(s, 'nameserver ' + s)"
        f" + {domains}.filter(s, !({globbed('s', compile_globs(params['allowedSearches']))})).map(s, 'search ' + s)"
        f" + variables.slow + (variables.windows || !variables.through ? [] : {lacking})"
    )
    return Spoken(
        "variables.bad.size() == 0",
        "variables.bad.join('; ')",
        (
            ("policy", f"pod.spec.?dnsPolicy.orValue('') == '' ? '{_FIRST}' : pod.spec.dnsPolicy"),
            ("windows", "pod.spec.?os.?name.orValue('') == 'windows'"),
            ("node", "pod.spec.?hostNetwork.orValue(false)"),
            ("lost", f"{host} && variables.node && variables.policy == '{_FIRST}' && !variables.windows"),
            (
                "through",
                f"variables.policy == '{_WITH_HOST_NET}'"
                f" || (variables.policy == '{_FIRST}' && ({host} || !variables.node))",
            ),
            ("options", option.format("'ndots'")),
            ("ndots", "variables.options[variables.options.size() - 1].?value.orValue('')"),
            ("slow", slow),
            ("bad", bad),
        ),
        fix=_spoken_fix(params, domains),
    )


def _spoken_fix(params: Mapping[str, Any], domains: str) -> Mend:
    """Return the fix in CEL: values are set by the number of their option, since CEL can copy no option."""
    mends, there = "variables.through && !variables.windows", "variables.written.exists(o, o.?name.orValue('') == {})"
    wishes: list[tuple[str, str | None, str]] = [("'ndots'", str(params["ndots"]), "variables.slow.size() > 0")]
    wishes += [(literal(entry["name"]), entry.get("value"), mends) for entry in params["options"]]
    each, more = [], []
    for name, value, when in wishes:
        option = f"{{'name': {name}}}" if value is None else f"{{'name': {name}, 'value': {literal(value)}}}"
        more.append(Put((*_OPTIONS, "-"), option, f"{when} && !{there.format(name)}"))
        if value is not None:
            at = f"at + '/{'/'.join(_OPTIONS)}/' + string(i) + '/value'"
            each.append(
                f"({when} ? variables.written.transformList(i, o, o.?name.orValue('') == {name},"
                f" JSONPatch{{op: 'add', path: {at}, value: {literal(value)}}}) : [])"
            )
    searches = (
        Put(("spec", "dnsConfig", "searches", "-"), literal(one), f"{mends} && !({literal(one)} in {domains})")
        for one in params["searches"]
    )
    return Mend(
        (
            Put(("spec", "dnsPolicy"), literal(_WITH_HOST_NET), "variables.lost"),
            Each(" + ".join(each), ((*_OPTIONS, "*", "value"),)),
            *more,
            *searches,
        ),
        (("written", "pod.spec.?dnsConfig.?options.orValue([])"),),
    )


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard, with nothing but options."""
    config = mapping(pod.spec.get("dnsConfig"))
    if standard.options or standard.searches or config.get("nameservers") or config.get("searches"):
        return False
    if _on_node(pod) or _policy(pod) not in standard.policies:
        return False
    dots: Any = None
    for option in listing(config.get("options")):
        said = mapping(option)
        if said.get("name") == "ndots":
            dots = said.get("value")
    number = _number(dots)
    return number is not None and number <= standard.ndots


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    spec, config = f"{pod.pointer}/spec", mapping(pod.spec.get("dnsConfig"))
    written = _policy(pod)
    if _lost(standard, pod):
        found = "hostNetwork: true with the node's resolver (dnsPolicy ClusterFirst)"
        yield Violation(f"{spec}/dnsPolicy", "Services are not found", found, f"{_WITH_HOST_NET}, or Default")
    elif written not in standard.policies:
        wanted = " or ".join(standard.policies) or "no pod at all"
        yield Violation(f"{spec}/dnsPolicy", "DNS policy not allowed", f"dnsPolicy {written}", wanted)
    yield from _others(standard, config, f"{spec}/dnsConfig")
    if not pod.windows:
        yield from _ndots(standard, pod, f"{spec}/dnsConfig/options")
        if _through_cluster(standard, pod):
            yield from _lacking(standard, config, f"{spec}/dnsConfig")


def _others(standard: Standard, config: Mapping[str, Any], at: str) -> Iterator[Violation]:
    for number, server in enumerate(listing(config.get("nameservers"))):
        if not _among(server, standard.nameservers):
            wanted = " or ".join(map(str, standard.nameservers)) or "no nameserver in a manifest"
            where = f"{at}/nameservers/{number}"
            yield Violation(
                where, "nameserver not allowed", f"nameserver {_short(server)}", wanted, None, _full(server)
            )
    for number, search in enumerate(listing(config.get("searches"))):
        if not isinstance(search, str) or not standard.allowed_searches(search):
            wanted = " or ".join(standard.allowed_searches.texts) or "no search domain in a manifest"
            where, found = f"{at}/searches/{number}", f"search {_short(search)}"
            yield Violation(where, "search domain not allowed", found, wanted, None, _full(search))


def _ndots(standard: Standard, pod: Pod, at: str) -> Iterator[Violation]:
    wanted = f"ndots of at most {standard.ndots}"
    found = _option(pod, "ndots")
    if found is not None:
        number, value = found
        dots = _number(value)
        if dots is None or min(dots, _MOST) > standard.ndots:
            reason = "not a number" if dots is None else "too many look-ups for a name"
            yield Violation(f"{at}/{number}/value", reason, f"ndots {_short(value)}", wanted, None, _full(value))
    elif _through_cluster(standard, pod) and standard.ndots < _KUBELET:
        names = [mapping(option).get("name") for option in listing(mapping(pod.spec.get("dnsConfig")).get("options"))]
        odd = next((name for name in names if isinstance(name, str) and name.startswith("ndots:")), None)
        what = f"an option with the name {_short(odd)}" if odd else "no option ndots"
        yield Violation(at, "too many look-ups for a name", f"{what}, so the kubelet's ndots:{_KUBELET}", wanted)


def _lacking(standard: Standard, config: Mapping[str, Any], at: str) -> Iterator[Violation]:
    for name, value in standard.options:
        entries = _options(config, name)
        wanted = name if value is None else f"{name}: {value}"
        if not entries:
            yield Violation(f"{at}/options", "DNS option missing", f"no option {name}", wanted)
        elif value is not None and entries[-1][1] != value:
            number, other = entries[-1]
            where, found = f"{at}/options/{number}/value", f"{name}: {_short(other)}"
            yield Violation(where, "DNS option differs", found, wanted, None, _full(f"{name}: {other}"))
    for search in standard.searches:
        if search not in listing(config.get("searches")):
            yield Violation(f"{at}/searches", "search domain missing", f"no search domain {search}", search)


def _fix(standard: Standard, pod: Pod, draft: Draft) -> None:
    if _lost(standard, pod):
        draft.put(f"{pod.pointer}/spec/dnsPolicy", _WITH_HOST_NET)
    config, at = pod.spec.get("dnsConfig"), f"{pod.pointer}/spec/dnsConfig"
    parts = [config, *(mapping(config).get(key) for key in ("options", "searches"))]
    if not all(part is None or isinstance(part, kind) for part, kind in zip(parts, (dict, list, list), strict=True)):
        return
    config = mapping(config)
    if pod.windows:
        return
    if any(_ndots(standard, pod, at)):
        _set(config, "ndots", str(standard.ndots), f"{at}/options", draft)
    if _through_cluster(standard, pod):
        for name, value in standard.options:
            _set(config, name, value, f"{at}/options", draft)
        for search in standard.searches:
            if search not in listing(config.get("searches")):
                draft.put(f"{at}/searches/-", search)


def _set(config: Mapping[str, Any], name: str, value: str | None, at: str, draft: Draft) -> None:
    """Write an option: every entry of its name gets the value, and where there is none, one is added."""
    entries = _options(config, name)
    for number, _ in entries if value is not None else ():
        draft.put(f"{at}/{number}/value", value)
    if not entries:
        draft.put(f"{at}/-", {"name": name} if value is None else {"name": name, "value": value})


def _policy(pod: Pod) -> Any:
    return pod.spec.get("dnsPolicy") or _FIRST


def _lost(standard: Standard, pod: Pod) -> bool:
    return standard.host_network and _on_node(pod) and _policy(pod) == _FIRST and not pod.windows


def _on_node(pod: Pod) -> bool:
    return pod.spec.get("hostNetwork") is True


def _through_cluster(standard: Standard, pod: Pod) -> bool:
    """Say whether the pod resolves through the cluster's DNS, or will once its policy is mended."""
    policy = _policy(pod)
    return policy == _WITH_HOST_NET or (policy == _FIRST and (standard.host_network or not _on_node(pod)))


def _options(config: Mapping[str, Any], name: str) -> list[tuple[int, Any]]:
    """Return (number, value) of each option of a name."""
    found = enumerate(map(mapping, listing(config.get("options"))))
    return [(number, option.get("value")) for number, option in found if option.get("name") == name]


def _option(pod: Pod, name: str) -> tuple[int, Any] | None:
    """Return the option that counts: the last of its name (mergeDNSOptions of the kubelet)."""
    return next(reversed(_options(mapping(pod.spec.get("dnsConfig")), name)), None)


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else None


def _among(server: Any, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        address = ip_address(server) if isinstance(server, str) else None
    except ValueError:
        return False
    return address is not None and any(address in network for network in networks)


def _full(value: Any) -> tuple[str, ...]:
    """Return what a finding was there before by, where it has no room for all of a value."""
    return (str(value),)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "without a value" if value is None else str(value)
    return text if len(text) <= 60 else text[:60] + "…"
