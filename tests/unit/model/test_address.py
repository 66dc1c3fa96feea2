"""Addresses in texts: what is one, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.address import find, literal, name_before


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1",
        "http://10.0.0.1/8",
        "redis://10.0.0.1/0",
        "jdbc:oracle:thin:@10.0.0.1:1521:SHOP",
        "jdbc:sqlserver://10.0.0.1\\main;databaseName=shop",
        "jdbc:mysql:loadbalance://(host=10.0.0.1,port=3306)/shop",
        "user:password@10.0.0.1",
        "tcp:10.0.0.1:80",
        "host:10.0.0.1",
        "<host>10.0.0.1</host>",
        "\\\\10.0.0.1\\share",
        "10.0.0.1:/export",
        "it is 10.0.0.1.",
        '{"host":"10.0.0.1"}',
        "http\\://10.0.0.1",
        "[::ffff:10.0.0.1]:80",
    ],
)
def test_an_address_is_found(text: str) -> None:
    assert [str(found.address) for found in find(text)] == ["10.0.0.1"]


@pytest.mark.parametrize("text", ["2001:db8::1", "[2001:db8::1]:80", "http://[2001:DB8::1]/8", "at 2001:db8::1."])
def test_an_address_of_version_6_is_found(text: str) -> None:
    assert [str(found.address) for found in find(text)] == ["2001:db8::1"]


@pytest.mark.parametrize(
    "text",
    [
        "v1.2.3.4",
        "app-1.2.3.4.jar",
        "/opt/1.2.3.4/lib",
        "nginx:1.2.3.4",
        "com.acme:lib:1.2.3.4",
        ">= 1.2.3.4",
        "1.2.3.4.5",
        "1.2.3.4-SNAPSHOT",
        "1.3.6.1",
        "10.0.0.1/24",
        "10.0.0.1-10.0.0.9",
        "255.255.0.0",
        "127.0.0.1:80",
        "0.0.0.0:80",
        "::",
        "[::1]:80",
        "::ffff:127.0.0.1",
        "10.0.0.1.nip.io",
        "10.0.0.256",
        "01.2.3.4",
        "# 10.0.0.1",
        "2001:db8::/32",
        "00:11:22:33:44:55:66:77",
        "20:11:22:33:44:55:66:77",
        "12:34:56",
        "dad::add",
        "std::vector",
        "arn:aws:iam::123456789012:role/web",
        "http://1.2.3.4@host.example/",
    ],
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    assert list(find(text)) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("version: 1.2.3.4", "version"),
        ('{"app.version": "1.2.3.4"}', "app.version"),
        ("--tag 1.2.3.4", "tag"),
        ("<version>1.2.3.4</version>", "version"),
        ("a=b\nNO_PROXY=localhost,1.2.3.4", "NO_PROXY"),
        ("1.2.3.4", ""),
    ],
)
def test_the_name_before_a_value_is_told(text: str, name: str) -> None:
    (found,) = find(text)
    assert name_before(text, found.at) == name


@pytest.mark.parametrize("value", ["127.0.0.1", "::1", "db.example", "10.0.0.1:80", "", None, 7])
def test_a_field_that_is_no_address_of_another_machine_is_none(value: object) -> None:
    assert literal(value) is None


def test_a_field_tells_an_address_mapped_into_version_6_as_what_it_is() -> None:
    assert str(literal("::ffff:10.0.0.1")) == "10.0.0.1"


@given(st.text(alphabet="0123456789abf.:[]/-@%= \n", max_size=60))
def test_any_text_can_be_searched_and_every_place_begins_with_a_digit_or_colon(text: str) -> None:
    assert all(text[found.at] in "0123456789abf:" for found in find(text))
