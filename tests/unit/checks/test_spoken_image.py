"""Image references in CEL say of every text what `model.image` says of it."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhook.checks import cel, spoken_image
from webhook.checks.spoken import Unspoken
from webhook.model import image

ROWS = json.loads((Path(__file__).parents[2] / "golden" / "reference.json").read_text())["rows"]
DIGEST = "sha256:" + "0123456789abcdef" * 4
PATTERNS = (
    "*", "docker.io", "docker.io/", "docker.io/library", "docker.io/library/", "nginx", "docker.io/library/nginx/",
    "a.b", "team/", "team/app", "team/app/", "docker.io/a.b/c", "docker.io/localhost/c", "index.docker.io/team/",
    "registry.example", "registry.example/", "registry.example/team", "registry.example/team/",
    "registry.example:443/a", "registry.example:5000", "registry.example:5000/team", "localhost", "localhost/a",
    "localhost:5000/", "bare:443/", "[::1]/", "[::1]:5000/a", "[abc]/", "[abc]:443/a", "[abc]:5000/a",
)  # fmt: skip
HOSTS = (
    "", "docker.io/", "Docker.IO:443/", "index.docker.io/", "index.docker.io:0443/", "docker.io:5000/", "localhost/",
    "LOCALHOST/", "localhost:443/", "localhost:5000/", "registry.example/", "Registry.Example:00443/",
    "registry.example:443/", "registry.example:5000/", "registry.example:05000/", "registry.example.evil.example/",
    "bare:443/", "bare:0443/", "BARE:443/", "BARE/", "bare/", "a_b.c/", "a.b_c/", "a.b/", "a--b.c/", "[::1]/",
    "[::1]:443/", "[::1]:5000/", "[abc]/", "[ABC]/", "[ABC]:443/", "[abc]:443/", "[aBc]:443/", "[abc]:5000/",
    "[ABC]:5000/", "[123]/", "_/", "-a/", "https://", "registryxexample/",
)  # fmt: skip
PATHS = (
    "nginx", "library/nginx", "library", "library/nginx/more", "nginx/nginx", "nginx-evil", "team", "team/app",
    "team/app/more", "team/app-b", "team-b/app", "a", "a/b", "a.b", "a.b/c", "a_b.c", "localhost/c", "Team/app", "",
    "a//b", "a/", "c", "a__b", "a___b", "f" * 64, "0" * 63,
    *(start + "a" * length for start in ("", "b/") for length in (245, 246, 247, 248, 253, 254, 255, 256)),
)  # fmt: skip
TAILS = (
    "", ":1", ":latest", ":5000", ":", ":a/b", ":-a", f":{'a' * 128}", f":{'a' * 129}", f"@{DIGEST}", f":1@{DIGEST}",
    f":latest@{DIGEST}", "@", f"@{DIGEST[:-1]}", f"@{DIGEST}@{DIGEST}", f"@sha384:{'a' * 96}", f"@sha512:{'a' * 128}",
    f"@sha512:{'A' * 128}", " ", "\n",
)  # fmt: skip
COMPOSED = st.builds("".join, st.tuples(*map(st.sampled_from, (HOSTS, PATHS, TAILS))))
ALPHABET = st.text("aAbs.:/@_-[]05é\n" + "ſK", max_size=12)
HOST_GLOBS = st.sampled_from(HOSTS)


@functools.cache
def asked(expression: str) -> cel.Program:
    return cel.compile(expression, wants="any")


def said(expression: str, text: object) -> object:
    return asked(expression)(cel.activation({"object": {"text": text}}))


def holds(text: str) -> None:
    """Hold all that is said of one text in CEL against `image.parse` and the patterns."""
    word = "object.text"
    try:
        parsed = image.parse(text)
    except ValueError:
        assert said(spoken_image.valid(word), text) is False
        return
    assert said(spoken_image.valid(word), text) is True
    assert said(spoken_image.tag(word), text) == parsed.tag
    assert said(spoken_image.pinned(word), text) == bool(parsed.digest)
    assert said(spoken_image.tagged(word), text) == bool(parsed.tag and not parsed.implied)
    for pattern in map(image.pattern, PATTERNS):
        assert said(spoken_image.matching(word, "denied", [pattern]), text) == pattern(parsed), pattern.text


@pytest.mark.parametrize("text", [row[0] for row in ROWS if "\0" not in row[0]], ids=lambda text: repr(text)[:40])
def test_a_reference_in_cel_is_what_it_is_to_us(text: str) -> None:
    holds(text)


@pytest.mark.parametrize("host", HOSTS)
def test_every_spelling_of_a_registry_is_read_with_every_name(host: str) -> None:
    for path in PATHS:
        holds(host + path)
    for tail in TAILS:
        holds(f"{host}a{tail}")


@settings(max_examples=300, deadline=None)
@given(st.one_of(COMPOSED, ALPHABET, st.builds(str.__add__, HOST_GLOBS, ALPHABET)))
@example("a" * 64)
@example(f"{'a.' * 400}a/{'b' * 223}")
@example(f"{'a.' * 400}a/{'b' * 222}:1")
def test_any_text_in_cel_is_what_it_is_to_us(text: str) -> None:
    holds(text)


@pytest.mark.parametrize("value", [None, 5, True, ["nginx"], {"a": "nginx"}])
def test_what_is_no_text_is_no_reference(value: object) -> None:
    assert said(spoken_image.valid("object.text"), value) is False


def test_several_patterns_are_one_question() -> None:
    patterns = [image.pattern(text) for text in ("registry.example/", "docker.io", "localhost/a")]
    asking = spoken_image.matching("object.text", "denied", patterns)

    texts = ("registry.example/a", "nginx", "team/app:1", "localhost/a:1", "localhost/b", "evil.example/a")
    assert [said(asking, text) for text in texts] == [True, True, True, True, False, False]
    assert spoken_image.matching("object.text", "denied", []) == "false"


@pytest.mark.parametrize("text", ["registry.example/*", "*.example", "nginx:1.*", "registry.example/**@sha256:*"])
def test_a_pattern_that_has_no_form_is_told_with_its_parameter(text: str) -> None:
    with pytest.raises(Unspoken, match="`repositories` has '"):
        spoken_image.matching("object.text", "repositories", [image.pattern(text)])
