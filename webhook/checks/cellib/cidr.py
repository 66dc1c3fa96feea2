"""cidr, isCIDR and the methods of a network.

Source: k8s.io/apiserver/pkg/cel/library/cidr.go on Go's net/netip. As there, host bits may be set
(`192.168.0.1/16`); `masked()` clears them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from webhook.checks.cellib import ip
from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import unwrap, wrap

KIND = "cidr"
BITS = re.compile(r"0|[1-9][0-9]{0,2}")
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _parse(text: str) -> Interface:
    address, slash, bits = text.rpartition("/")
    if not slash or not BITS.fullmatch(bits):
        raise ValueError(f"{text!r} is no network: an address, a slash and a number of bits are wanted")
    found = ip.parse(address)
    if int(bits) > found.max_prefixlen:
        raise ValueError(f"{text!r} is no network: at most {found.max_prefixlen} bits are possible")
    return ipaddress.ip_interface(f"{found}/{bits}")


def _interface(value: Mapping[Any, Any]) -> Interface:
    return ipaddress.ip_interface(unwrap(KIND, value))


def _wrapped(interface: Interface) -> dict[int, str]:
    return wrap(KIND, interface.with_prefixlen)


def _cidr(text: str) -> dict[int, str]:
    return _wrapped(_parse(text))


def _is_cidr(text: str) -> bool:
    try:
        _parse(text)
    except ValueError:
        return False
    return True


def _contains_ip(value: Mapping[Any, Any], address: Mapping[Any, Any]) -> bool:
    return ip.address(address) in _interface(value).network


def _contains_ip_text(value: Mapping[Any, Any], text: str) -> bool:
    return ip.parse(text) in _interface(value).network


def _contains_cidr(value: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return _covers(_interface(value), _interface(other))


def _contains_cidr_text(value: Mapping[Any, Any], text: str) -> bool:
    return _covers(_interface(value), _parse(text))


def _covers(outer: Interface, inner: Interface) -> bool:
    return inner.ip in outer.network and outer.network.prefixlen <= inner.network.prefixlen


def _ip(value: Mapping[Any, Any]) -> dict[int, str]:
    return ip.wrapped(_interface(value).ip)


def _masked(value: Mapping[Any, Any]) -> dict[int, str]:
    return _cidr(str(_interface(value).network))


def _prefix_length(value: Mapping[Any, Any]) -> int:
    return _interface(value).network.prefixlen


FUNCTIONS = (
    Function("cidr", ("STRING",), False, "MAP", _cidr),
    Function("isCIDR", ("STRING",), False, "BOOL", _is_cidr),
    Function("containsIP", ("MAP", "MAP"), True, "BOOL", _contains_ip),
    Function("containsIP", ("MAP", "STRING"), True, "BOOL", _contains_ip_text),
    Function("containsCIDR", ("MAP", "MAP"), True, "BOOL", _contains_cidr),
    Function("containsCIDR", ("MAP", "STRING"), True, "BOOL", _contains_cidr_text),
    Function("ip", ("MAP",), True, "MAP", _ip),
    Function("masked", ("MAP",), True, "MAP", _masked),
    Function("prefixLength", ("MAP",), True, "INT", _prefix_length),
)
