"""Which addresses may be connected to: a name in an image reference must not lead into the cluster's own machinery.

A host that is listed may stand in a private network, as company registries do. A host that is only reached by a
redirect must be public. Neither may be loopback, link-local, a metadata service, or such an address in disguise,
unless the entry of the host lists the range.

Sources: the IANA registries of special-purpose addresses (RFC 6890), IPv4 in IPv6 (RFC 4291 2.5.5.2, RFC 6052,
RFC 3056), and the addresses that clouds document for their metadata services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NEVER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("an address of this machine itself (loopback)", ("127.0.0.0/8", "::1/128")),
    ("no address of one machine (unspecified)", ("0.0.0.0/8", "::/128")),
    (
        "an address of the cloud's metadata service",
        (
            "169.254.169.254/32",  # AWS, Azure, Google, Oracle, OpenStack
            "fd00:ec2::/32",  # AWS over IPv6
            "fd20:ce::254/128",  # Google over IPv6
            "fd00:c1::a9fe:a9fe/128",  # Oracle over IPv6
            "fd00:42::42/128",  # Scaleway over IPv6
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle, classic
            "168.63.129.16/32",  # Azure's wire server, in the midst of public addresses
        ),
    ),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("reserved", ("240.0.0.0/4", "::/96", "64:ff9b:1::/48", "2001::/32", "fec0::/10")),
)
# not reachable from everywhere, or not assigned to anybody's machines
_INSIDE = tuple(
    ip_network(text)
    for text in (
        *("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
_WORLD = ip_network("2000::/3")  # all that IANA gives out of IPv6 for the whole internet
_REFUSED = tuple((word, tuple(map(ip_network, texts))) for word, texts in _NEVER)
_NAT64 = ip_network("64:ff9b::/96")


def refusal(address: Address, allowed: Iterable[Network], *, listed: bool) -> str:
    """Return why an address is not connected to, as `is ...` of a sentence; '' where it may be.

    `allowed` are the further ranges of the host's entry; `listed` says whether the host has an entry.
    """
    meant = _meant(address)
    if _within(meant, allowed) or _within(address, allowed):
        return ""
    for word, networks in _REFUSED:
        if _within(meant, networks):
            return word
    if not listed and not _public(meant):
        return "no public address"
    return ""


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one carries to whoever routes it, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _public(address: Address) -> bool:
    if address.version == 6 and address not in _WORLD:
        return False
    return not _within(address, _INSIDE)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(network for network in _same(address, networks) if address in network)


def _same(address: Address, networks: Iterable[Network]) -> Iterator[Network]:
    return (network for network in networks if network.version == address.version)
