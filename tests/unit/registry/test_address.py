"""Which addresses may be connected to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from webhook.registry.address import refusal

LOOPBACK = ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::")
METADATA = (
    *("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd00:ec2::23"),
    *("fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("2002:a9fe:a9fe::1", "::ffff:100.100.100.200", "64:ff9b::a83f:8110"),
)
LINK_LOCAL = ("169.254.0.1", "169.254.170.2", "fe80::1", "fe80::1%eth0", "fe80::a9fe:a9fe", "::ffff:169.254.1.1")
NOBODY = ("0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0")
MANY = ("224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255", "240.0.0.1", "::127.0.0.1", "fec0::1")
DISGUISED = ("2001::1", "64:ff9b:1::a9fe:a9fe")
PRIVATE = (
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "fd12::1", "fc00::1"),
    *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "198.18.0.1", "192.0.2.1", "2001:db8::1", "3fff::1"),
)
PUBLIC = (
    "1.1.1.1",
    "172.32.0.1",
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("addresses", "word"),
    [
        (LOOPBACK, "loopback"),
        (METADATA, "metadata"),
        (LINK_LOCAL, "link-local"),
        (NOBODY, "unspecified"),
        (MANY, "multicast|reserved"),
        (DISGUISED, "reserved"),
    ],
    ids=["loopback", "metadata", "link-local", "unspecified", "many", "disguised"],
)
def test_some_addresses_are_never_connected_to(addresses: tuple[str, ...], word: str, listed: bool) -> None:
    for address in addresses:
        why = refusal(ip_address(address), (), listed=listed)
        assert any(one in why for one in word.split("|")), f"{address}: {why}"


def test_a_listed_host_may_be_in_a_private_network_and_another_may_not() -> None:
    for address in PRIVATE:
        assert refusal(ip_address(address), (), listed=True) == "", address
        assert refusal(ip_address(address), (), listed=False) == "no public address", address


def test_a_public_address_is_connected_to() -> None:
    for address in PUBLIC:
        assert refusal(ip_address(address), (), listed=False) == "", address
        assert refusal(ip_address(address), (), listed=True) == "", address


def test_a_range_that_the_entry_lists_is_allowed_and_no_other() -> None:
    ranges = [ip_network("127.0.0.0/8"), ip_network("fe80::/10")]
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fe80::1"):
        assert refusal(ip_address(address), ranges, listed=True) == "", address
    for address in ("::1", "169.254.169.254", "0.0.0.0"):
        assert refusal(ip_address(address), ranges, listed=True), address
