"""The registries file: what it says, and everything that is wrong with it at once, with lines and advice."""

from __future__ import annotations

import textwrap
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from webhook.errors import ConfigError
from webhook.model.oci import Platform
from webhook.registry.config import Mirror, load

HEAD = "apiVersion: plimsoll.dev/v1\nkind: Registries\n"


def _problems(lab: Any, text: str, head: str = HEAD) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load("registries.yaml", head + textwrap.dedent(text), lab.folder)
    return str(caught.value).splitlines()


def test_a_whole_file_is_read(lab: Any) -> None:
    lab.docker("config.json", {})
    config = lab.config("""
        registries:
          - host: Registry.Example:443
            mirrors: [mirror.example/hub/, other.example:5000]
            ca: ca.crt
            addresses: [127.0.0.0/8, "::1"]
            credentials: .
          - {host: mirror.example}
          - {host: "other.example:5000", insecure: true}
          - {host: index.docker.io}
        platforms: [linux/amd64, linux/arm/v7]
        """)
    entry = config.registries["registry.example"]
    assert list(config.registries) == ["registry.example", "mirror.example", "other.example:5000", "docker.io"]
    assert entry.mirrors == (Mirror("mirror.example", "hub"), Mirror("other.example:5000"))
    assert entry.addresses == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert entry.ca.startswith("-----BEGIN CERTIFICATE-----")
    assert entry.credentials == lab.folder
    assert config.platforms == (Platform("linux", "amd64"), Platform("linux", "arm", "v7"))
    assert [one.url for one in config.registries.values()] == [
        "https://registry.example",
        "https://mirror.example",
        "http://other.example:5000",
        "https://registry-1.docker.io",
    ]


def test_every_mistake_is_said_at_once_with_its_line(lab: Any) -> None:
    (lab.folder / "no.crt").write_text("no certificate", encoding="utf-8")
    (lab.folder / "helper.json").write_text('{"credsStore": "desktop", "auths": {}}', encoding="utf-8")
    found = _problems(
        lab,
        """
        registries:
          - host: https://registry.example
          - host: "*.example"
          - host: registry.example/team
          - host: registry
          - host: registry.example
            mirrors: [mirorr.example, "://", registry.example]
            addresses: [10.0.0.0/33, 10.0.0.1/8]
            ca: no.crt
            credentials: helper.json
          - host: mirror.example
            insecure: true
            ca: missing.crt
            credentials: missing.json
          - host: REGISTRY.example:443
        platforms: [linux]
        """,
    )
    folder = lab.folder
    for line, words in (
        (5, "registries[0].host: 'https://registry.example' is no host of a registry; leave the scheme out"),
        (6, "registries[1].host: '*.example' is no host of a registry; each host is written out"),
        (7, "registries[2].host: 'registry.example/team' is no host of a registry; leave the repository out"),
        (8, "registries[3].host: 'registry' is no host of a registry; wanted a name with a dot or a port"),
        (10, "registries[4].mirrors[0]: mirorr.example has no entry of its own, and only hosts with one are asked; "
             "did you mean mirror.example? add `- host: mirorr.example`"),
        (10, "registries[4].mirrors[1]: '://' is no mirror; wanted a host"),
        (10, "registries[4].mirrors[2]: registry.example is no mirror of itself"),
        (11, "registries[4].addresses[0]: '10.0.0.0/33' is no range of addresses"),
        (11, "registries[4].addresses[1]: '10.0.0.1/8' is no range of addresses (10.0.0.1/8 has host bits set)"),
        (12, f"registries[4].ca: {folder / 'no.crt'} cannot be read: it holds no certificates in PEM"),
        (13, f"registries[4].credentials: {folder / 'helper.json'}: credsStore names a program, and none is run here"),
        (16, "registries[5].ca: has no use beside insecure: true"),
        (16, f"registries[5].ca: {folder / 'missing.crt'} cannot be read: No such file or directory"),
        (17, f"registries[5].credentials: {folder / 'missing.json'} cannot be read: No such file or directory"),
        (18, "registries[6].host: registry.example has an entry already, in line 9; keep one"),
        (19, "platforms[0]: 'linux' is no platform; wanted os/architecture"),
    ):  # fmt: skip
        assert any(one.startswith(f"registries.yaml:{line}: {words}") for one in found), (line, words, found)
    assert len(found) == 16


def test_a_misspelt_key_is_suggested(lab: Any) -> None:
    found = _problems(lab, "registries: [{host: a.example, insecur: true, adresses: []}]\nplatfroms: []\n")
    assert {one.partition("; ")[2].partition("? ")[0] for one in found} == {
        "did you mean platforms",
        "did you mean addresses",
        "did you mean insecure",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "registries: is missing"),
        ("registries: []", "registries: has no elements; wanted at least 1"),
        ("registries: [{}]", "registries[0].host: is missing; wanted text"),
        ("registries: [registry.example]", "is text; wanted a mapping with host, mirrors, ca, insecure"),
        ("registries: [{host: a.example, insecure: 'yes'}]", "wanted true or false"),
        ("registries: [{host: a.example}]\nplatforms: []", "platforms: has no elements"),
        ("registries: &a [{host: a.example}]", "anchors (&a) are not allowed"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, words: str, lab: Any) -> None:
    assert any(words in one for one in _problems(lab, text))


def test_a_file_of_another_kind_is_refused(lab: Any) -> None:
    assert "allowed: Registries" in _problems(lab, "kind: Registry\nregistries: [{host: a.example}]", HEAD[:28])[0]
    assert "holds no documents" in _problems(lab, "", "")[0]
    assert "holds 2 documents" in _problems(lab, f"registries: []\n---\n{HEAD}")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no JSON object"),
        ("{}", "has no auths"),
        ('{"credHelpers": {"a": "b"}, "auths": {}}', "credHelpers names a program, and none is run here"),
        ('{"auths": {"a.example": {"auth": "s3cret"}}}', "auths['a.example'].auth is not base64 of user:password"),
        ('{"auths": {"a.example": {"auth": "czNjcmV0"}}}', "auths['a.example'].auth is not base64 of user:password"),
    ],
)
def test_a_docker_config_that_cannot_be_used_is_said_and_not_shown(text: str, words: str, lab: Any) -> None:
    (lab.folder / "config.json").write_text(text, encoding="utf-8")
    (found,) = _problems(lab, "registries: [{host: a.example, credentials: config.json}]")
    assert words in found and "s3cret" not in found


def test_the_example_of_the_docs_is_read(lab: Any) -> None:
    page = (Path(__file__).parents[3] / "docs" / "registries.md").read_text(encoding="utf-8")
    text = next(block for block in page.split("```yaml\n")[1:] if "kind: Registries" in block).partition("```")[0]
    (lab.folder / "docker").mkdir()
    lab.docker("docker/config.json", {})
    config = load("registries.yaml", text, lab.folder)
    assert "docker.io" in config.registries and config.platforms
