"""Addresses of machines written in text: in URLs, `host:port` lists, JDBC strings, files.

A run of digits and dots is often no address: a version, an OID, a network, a mask. What stands around it decides,
so that only what somebody would connect to is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TypeGuard

import re2

from webhook.model.record import record

Address = IPv4Address | IPv6Address

_DOTTED = re2.compile(r"[0-9]+(?:\.[0-9]+)+")
_COLONS = re2.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")
_PORT = re2.compile(r":[0-9]{1,5}(?:[^0-9A-Za-z._-]|$)")
_LENGTH = re2.compile(r"(?:%[0-9A-Za-z]+)?/[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}(?:[^0-9A-Za-z._-]|$)")
_COMMENT = re2.compile(r"\s*(?:#|;|<!--|//\s|--\s)")
_FIRST = re2.compile(r"[23fF][0-9A-Fa-f]{3}:|64:|::|0+:")  # how the addresses of _ASSIGNED begin
# the last name before a value: right before it, or before the list in which it stands
_NEXT_TO = re2.compile(r"([0-9A-Za-z_.-]*[A-Za-z_][0-9A-Za-z_.-]*)[\"']?(?:\s*[=:>]+\s*|\s+)[\"'\[(]*$")
_LISTED = re2.compile(r"([0-9A-Za-z_.-]*[A-Za-z_][0-9A-Za-z_.-]*)[\"']?\s*[=:>][^=:>]*$")
_WORD = re2.compile(r"([0-9A-Za-z]*)\s*:$")
_BEFORE = 200  # how far back a name is looked for: a line may be a megabyte long
_NOT_BEFORE = frozenset("._-+~^$*%")
_NOT_AFTER = frozenset("_-+~@%*")
_OPERATORS = ("==", ">=", "<=", "~=", "!=", "~>")
# what may stand before `:10.0.0.1`; after another word, as in nginx:1.2.3.4 or com.acme:lib:1.2.3.4, it is a version
_HOST_WORDS = frozenset(
    {"addr", "address", "endpoint", "host", "hostname", "ip", "node", "peer", "server", "tcp", "udp"}
)
# options of clients (mysql, psql, redis-cli, ldapsearch) that take a host, which may stand right behind them
_HOST_OPTIONS = ("-h", "-H")
# Arcs with four numbers of their own: internet (RFC 1155), attributes and extensions of X.500
_ARCS = ((1, 3, 6, 1), (2, 5, 4), (2, 5, 29))
# Sources: the IANA registries of IPv6 address space and of special purposes (RFC 6890). Elsewhere `dad::add` is a name
_ASSIGNED = tuple(
    ip_network(text) for text in ("2000::/3", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8", "::ffff:0:0/96")
)
_THIS_NETWORK = ip_network("0.0.0.0/8")


@record(frozen=True, slots=True)
class Found:
    """One address in a text: the address, and where in the text it begins."""

    address: Address
    at: int


def possible(text: object) -> TypeGuard[str]:
    """Say whether an address can stand in a text, which most texts show by counting."""
    return isinstance(text, str) and (text.count(".") > 2 or text.count(":") > 1)


def find(text: str) -> Iterator[Found]:
    """Give the addresses of other machines that a text names, from left to right.

    Not: loopback, 0.0.0.0/8 and `::`, masks, CIDRs and ranges, addresses that end in .0 without a port or a URL
    around them, versions, OIDs, names such as 10.0.0.1.nip.io, and whole lines of comment.
    """
    if not possible(text):
        return
    start = 0
    for line in text.splitlines(keepends=True):
        if ("." in line or ":" in line) and not _COMMENT.match(line):
            yield from (Found(address, start + at) for address, at in _in_line(line))
        start += len(line)


def literal(text: object) -> Address | None:
    """Return the address that a field holds as a whole, of another machine; None where it holds none."""
    if not isinstance(text, str):
        return None
    address = _parsed(text.strip().removeprefix("[").removesuffix("]"))
    if address is None or not _elsewhere(address):
        return None
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address


def name_before(text: str, at: int) -> str:
    """Return the name to which the value at `at` belongs (`name=`, `"name":`, `--name `, `<name>`), or ''."""
    line = text[max(0, text.rfind("\n", 0, at) + 1, at - _BEFORE) : at]
    found = _NEXT_TO.search(line) or _LISTED.search(line)
    return found[1].lstrip("-.") if found else ""


def _in_line(line: str) -> list[tuple[Address, int]]:
    found: list[tuple[Address, int]] = []
    taken: set[int] = set()
    if line.count(":") > 1:
        for match in _COLONS.finditer(line):
            six = _six(line, match.start(), match.end())
            if six is not None:
                taken.update(range(*match.span()))
                found += [(six, match.start())] if _elsewhere(six) else []
    for match in _DOTTED.finditer(line):
        begin, end = match.span()
        if begin not in taken:
            four = _four(line, begin, end)
            found += [(four, begin)] if four is not None else []
    return sorted(found, key=lambda pair: pair[1])


def _four(line: str, begin: int, end: int) -> Address | None:
    written = line[begin:end]
    if written.count(".") != 3 or len(written) > 15:
        return None
    address = _parsed(written)
    if address is None or not _elsewhere(address) or not _ends(line, end) or not _begins(line, begin, end):
        return None
    if _authority(line, begin) or _PORT.match(_behind(line, end)):
        return address
    parts = tuple(int(part) for part in written.split("."))
    if parts[3] == 0 or any(parts[: len(arc)] == arc for arc in _ARCS) or _LENGTH.match(_behind(line, end)):
        return None
    return address


def _begins(line: str, begin: int, end: int) -> bool:
    """Say whether an address can begin here: not within a word, a path, a tag, nor after an operator of versions."""
    if begin == 0:
        return True
    before = line[begin - 1]
    if before == "/":
        return line[max(0, begin - 2) : begin] == "//"
    if before == ":" and not _PORT.match(_behind(line, end)):
        word = _WORD.search(line[max(0, begin - 40) : begin])
        return word is not None and (word[1] == "" or word[1].lower() in _HOST_WORDS)
    if line[max(0, begin - 2) : begin] in _HOST_OPTIONS and (begin == 2 or line[begin - 3].isspace()):
        return True
    operator = line[max(0, begin - 3) : begin].rstrip()
    return not before.isalnum() and before not in _NOT_BEFORE and not operator.endswith(_OPERATORS)


def _ends(line: str, end: int) -> bool:
    after, beyond = line[end : end + 1], line[end + 1 : end + 2]
    if after == ".":
        return not (beyond.isalnum() or beyond in ("-", "_", "*"))
    return not after.isalnum() and after not in _NOT_AFTER


def _behind(line: str, end: int) -> str:
    """Return the few characters behind an address that are looked at; RE2 would copy the whole line each time."""
    return line[end : end + 40]


def _authority(line: str, begin: int) -> bool:
    return line[max(0, begin - 2) : begin] == "//" or line[max(0, begin - 1) : begin] == "@"


def _six(line: str, begin: int, end: int) -> Address | None:
    before, after = line[max(0, begin - 1) : begin], line[end : end + 1]
    if before and (before.isalnum() or before in "._-/$%"):
        return None
    written = line[begin:end].rstrip(".")
    if not written.endswith("::"):
        written = written.removesuffix(":")
    groups = written.split(":")
    eui = len(groups) == 8 and all(len(group) == 2 for group in groups)  # an EUI-64 or a World Wide Name
    if eui or not _FIRST.match(written) or len(written) > 45:
        return None
    bracketed = before == "[" and after in ("]", "%")
    if not bracketed and (after.isalnum() or after in ("_", "-") or _LENGTH.match(_behind(line, end))):
        return None
    address = _parsed(written)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else None


def _parsed(written: str) -> Address | None:
    try:
        return IPv6Address(written) if ":" in written else IPv4Address(written)  # no leading zeros, nothing above 255
    except ValueError:
        return None


def _elsewhere(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _elsewhere(address.ipv4_mapped)
        return any(address in network for network in _ASSIGNED)
    return not (address.is_loopback or address in _THIS_NETWORK or _mask(int(address)))


def _mask(number: int) -> bool:
    """Say whether an address is a netmask: ones, at least eight, then zeros."""
    rest = ~number & 0xFFFFFFFF
    return number >= 0xFF000000 and rest & (rest + 1) == 0
