"""ip, isIP, ip.isCanonical and the methods of an address.

Source: k8s.io/apiserver/pkg/cel/library/ip.go on Go's net/netip. Zones and IPv4-mapped IPv6
addresses are refused, leading zeros too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import unwrap, wrap

KIND = "ip"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
BROADCAST = ipaddress.IPv4Address("255.255.255.255")
MULTICAST_V4 = ipaddress.IPv4Network("224.0.0.0/24")
LINK_LOCAL_V4 = ipaddress.IPv4Network("169.254.0.0/16")
LINK_LOCAL_V6 = ipaddress.IPv6Network("fe80::/10")


def parse(text: str) -> Address:
    """Return the address that `text` names; ValueError with a sentence otherwise."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"IP Address {text!r} is no IPv4 or IPv6 address") from error
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None or "%" in text:
            raise ValueError(f"IP address {text!r} with zone value is not allowed")
        if address.ipv4_mapped is not None:
            raise ValueError(f"IPv4-mapped IPv6 address {text!r} is not allowed")
    return address


def wrapped(address: Address) -> dict[int, str]:
    """Return the address as a value of CEL."""
    return wrap(KIND, str(address))


def address(value: Mapping[Any, Any]) -> Address:
    """Return the address in a value of CEL; ValueError where it is none."""
    return ipaddress.ip_address(unwrap(KIND, value))


def _ip(text: str) -> dict[int, str]:
    return wrapped(parse(text))


def _is_ip(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _is_canonical(text: str) -> bool:
    return str(parse(text)) == text


def _family(value: Mapping[Any, Any]) -> int:
    return address(value).version


def _is_unspecified(value: Mapping[Any, Any]) -> bool:
    return address(value).is_unspecified


def _is_loopback(value: Mapping[Any, Any]) -> bool:
    return address(value).is_loopback


def _is_link_local_multicast(value: Mapping[Any, Any]) -> bool:
    found = address(value)
    if isinstance(found, ipaddress.IPv4Address):
        return found in MULTICAST_V4
    return found.packed[0] == 0xFF and found.packed[1] & 0x0F == 0x02


def _is_link_local_unicast(value: Mapping[Any, Any]) -> bool:
    found = address(value)
    return found in (LINK_LOCAL_V4 if isinstance(found, ipaddress.IPv4Address) else LINK_LOCAL_V6)


def _is_global_unicast(value: Mapping[Any, Any]) -> bool:
    found = address(value)
    if found == BROADCAST or found.is_unspecified or found.is_loopback or found.is_multicast:
        return False
    return not _is_link_local_unicast(value)


FUNCTIONS = (
    Function("ip", ("STRING",), False, "MAP", _ip),
    Function("isIP", ("STRING",), False, "BOOL", _is_ip),
    Function("ip.isCanonical", ("STRING",), False, "BOOL", _is_canonical),
    Function("family", ("MAP",), True, "INT", _family),
    Function("isUnspecified", ("MAP",), True, "BOOL", _is_unspecified),
    Function("isLoopback", ("MAP",), True, "BOOL", _is_loopback),
    Function("isLinkLocalMulticast", ("MAP",), True, "BOOL", _is_link_local_multicast),
    Function("isLinkLocalUnicast", ("MAP",), True, "BOOL", _is_link_local_unicast),
    Function("isGlobalUnicast", ("MAP",), True, "BOOL", _is_global_unicast),
)
