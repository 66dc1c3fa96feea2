"""Image references are normalized as runtimes do; patterns on them end where names end."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model import image
from webhook.model.image import Image

GOLDEN = Path(__file__).parents[2] / "golden" / "reference.json"
ROWS = json.loads(GOLDEN.read_text())["rows"]
DIGEST = "sha256:" + "0123456789abcdef" * 4
# Where we read on purpose what distribution/reference reads otherwise: hosts know no case, 443 is the port of HTTPS,
# and a first segment that is no host (`_`) is refused, not taken as part of a name without a registry.
# distribution reads these as images called `sha256`; a runtime takes them for IDs of images on the node
IDS = ("sha256:" + "0123456789abcdef" * 4, "sha256:" + "a" * 64)
OURS = {
    "registry_x.example/a": None,
    "FOO.bar/baz": "foo.bar/baz:latest",
    "FOO:5000/bar": "foo:5000/bar:latest",
    "registry.example:443/a": "registry.example/a:latest",
    "docker.io:443/nginx": "docker.io/library/nginx:latest",
    "LOCALHOST/a": "localhost/a:latest",
    "Docker.io/nginx": "docker.io/library/nginx:latest",
    "INDEX.docker.io/nginx": "docker.io/library/nginx:latest",
    **dict.fromkeys(IDS),
}


@pytest.mark.parametrize(
    ("text", "parts"), [row for row in ROWS if row[0] not in OURS], ids=lambda value: repr(value)[:40]
)
def test_a_reference_is_read_as_distribution_reads_it(text: str, parts: list[str] | None) -> None:
    if parts is None:
        with pytest.raises(ValueError, match="[a-z]"):
            image.parse(text)
    else:
        assert image.parse(text) == Image(parts[0], parts[1], parts[2], parts[3])


@pytest.mark.parametrize(("text", "normalized"), OURS.items())
def test_where_we_differ_from_distribution_it_is_known(text: str, normalized: str | None) -> None:
    assert text in {row[0] for row in ROWS}
    if normalized is None:
        with pytest.raises(ValueError, match="image ID" if text in IDS else "no host of a registry"):
            image.parse(text)
    else:
        assert str(image.parse(text)) == normalized


@pytest.mark.parametrize("text", [row[0] for row in ROWS if row[1] is not None and OURS.get(row[0], "") is not None])
def test_a_normalized_reference_stays_as_it_is(text: str) -> None:
    once = image.parse(text)
    assert image.parse(str(once)) == once
    assert str(image.parse(str(once))) == str(once)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an empty text names no image"),
        ("Nginx", "small letters"),
        ("registry.example/App:1", "small letters"),
        ("https://registry.example/app", "is a URL"),
        ("nginx:1.2/3", "tag|repository|host"),
        ("nginx@sha256:abc", "digest"),
        ("nginx:", "tag"),
        ("nginx ", "space around"),
        ("a" * 64, "image ID"),
        ("sha256:" + "a" * 64, "image ID"),
        ("a" * 2000, "longer than 1024"),
        ("${IMAGE}", "no image reference"),
    ],
)
def test_what_is_no_reference_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        image.parse(text)
    assert len(str(error.value)) < 300


def test_a_reference_keeps_what_was_written_behind_its_name() -> None:
    assert image.parse("nginx").written == ""
    assert image.parse("nginx:latest").written == ":latest"
    assert image.parse(f"nginx:1@{DIGEST}").written == f":1@{DIGEST}"
    assert image.parse(f"nginx@{DIGEST}").tag == ""
    assert image.parse("nginx").name == "docker.io/library/nginx"
    assert image.parse("nginx").implied
    assert not image.parse("nginx:latest").implied


R = "registry.example"
MATCHES = {
    R: [f"{R}/app", f"{R}/a/b/c:1", f"{R}/app@{DIGEST}", f"{R}:443/app", "REGISTRY.example/app"],
    f"{R}/": [f"{R}/app", f"{R}/a/b/c:1"],
    f"{R}/team": [f"{R}/team", f"{R}/team:1", f"{R}/team/app", f"{R}/team/a/b"],
    f"{R}/team/": [f"{R}/team/app", f"{R}/team/a/b"],
    f"{R}:5000": [f"{R}:5000/app"],
    f"{R}:*": [f"{R}:5000/app", f"{R}:80/app"],
    "localhost:5000": ["localhost:5000/app"],
    "localhost": ["localhost/app"],
    "registry:5000/": ["registry:5000/app"],
    "registry:5000": ["registry:5000", "docker.io/library/registry:5000"],
    "[::1]:5000": ["[::1]:5000/app"],
    "nginx": ["nginx", "nginx:1.29", "docker.io/nginx", "docker.io/library/nginx", "index.docker.io/library/nginx"],
    "docker.io/nginx": ["nginx", "library/nginx:1"],
    "library/nginx": ["nginx"],
    "docker.io": ["nginx", "team/app", "docker.io/team/app/deep"],
    "index.docker.io/": ["nginx", "team/app"],
    "docker.io/library": ["nginx", "redis:8"],
    "docker.io/*": ["nginx", "team/app"],
    "team/": ["team/app", "docker.io/team/app:1", "team/a/b"],
    "team/app": ["team/app", "team/app/deep"],
    "ngin*": ["nginx", "ngin"],
    f"{R}/team-*": [f"{R}/team-a", f"{R}/team-a/app"],
    f"{R}/*/app": [f"{R}/team/app", f"{R}/team/app/deep"],
    f"{R}/**/app": [f"{R}/app", f"{R}/a/app", f"{R}/a/b/app"],
    f"{R}/**": [f"{R}/app", f"{R}/a/b"],
    "*.dkr.ecr.*.amazonaws.com/": ["123.dkr.ecr.eu-west-1.amazonaws.com/app"],
    "*-docker.pkg.dev/": ["europe-docker.pkg.dev/p/app"],
    "*": ["nginx", f"{R}/a/b", "localhost:5000/x", f"[::1]:5000/a@{DIGEST}"],
    "**/nginx": ["nginx", f"{R}/nginx", f"{R}/hub/library/nginx"],
    "*/nginx": [f"{R}/nginx"],
    "*:latest": ["nginx", f"{R}/a/b:latest"],
    "*@sha256:*": [f"nginx@{DIGEST}", f"{R}/a/b:1@{DIGEST}"],
    "nginx:1.*": ["nginx:1.29", "nginx:1."],
    f"{R}/app:1.*@sha256:*": [f"{R}/app:1.2@{DIGEST}"],
    f"{R}/app@{DIGEST}": [f"{R}/app@{DIGEST}", f"{R}/app:9@{DIGEST}"],
    f"{R}/**:v*": [f"{R}/app:v1", f"{R}/a/b:v2"],
}
# Each line: what is allowed, and references that only look like it.
CONFUSABLES = {
    R: [
        "registry.example.evil.io/app", "registry.example-evil.io/app", "registry.examples/app", "registry.exampl/app",
        "registry-example/app", "registryxexample/app", "evil.registry.example/app", "evil-registry.example/app",
        "registry.example:5000/app", "registry.example:80/app", "registry.example:4430/app",
        "registry.example.:443/app",
        "evil.io/registry.example/app", "evil.io:443/registry.example/app", "localhost/registry.example/app",
        "docker.io/registry.example/app", "library/registry.example", "registry.example", "registry.example:app",
        f"registry.example@{DIGEST}", "registry/example/app", "registry.example@evil.io/app", "registry..example/app",
        "registry.example.io:5000/app", "www.registry.example/app", "registry.example1/app", "1registry.example/app",
        "xregistry.example/app", "registry.example/", "/registry.example/app", "//registry.example/app",
        "https://registry.example/app", "registry.example//app", "registry.example/../evil.io/app",
        "registry.example\\app", "registry.example%2Fapp", "registry.example\u2044app", "registry.example\u2215app",
        "registry\u3002example/app", "registry\uff0eexample/app", "registr\u0443.example/app",
        "registry.ex\u0430mple/app",
        " registry.example/app", "registry.example /app", "registry.example/app ", "registry.example/app\n",
        "registry.example\t/app", "registry.example\u0000.evil.io/app", "registry.example\u200b/app",
        "user@registry.example/app", "registry.example:@evil.io/app", "registry.example#.evil.io/app",
        "registry.example?.evil.io/app", "registry.example;evil.io/app", "registry.example,evil.io/app",
        "xn--registry.example/app", "registry_example/app", "reg-istry.example/app", "registry.example.docker.io/app",
    ],
    f"{R}/team": [
        f"{R}/team-evil", f"{R}/team-evil/app", f"{R}/team_evil", f"{R}/team.evil", f"{R}/team1", f"{R}/teams/app",
        f"{R}/tea", f"{R}/tea/m", f"{R}/te/am", f"{R}/a/team", f"{R}/evil/team/app", f"{R}/xteam", f"{R}/x-team/app",
        f"{R}/team__evil/a", f"{R}/team--evil/a", f"{R}/team-/a", f"{R}/team./a", f"{R}/./team", f"{R}/../team",
        f"{R}/team/../evil", f"{R}/team//evil", f"{R}/Team/app", f"{R}/TEAM/app", f"{R}/teaM", f"{R}/t\u0435am/app",
        f"{R}/team\u200b/app", f"{R}/team%2f/app", f"{R}/evil:team", f"{R}/evil:team/app", f"{R}/evil@{DIGEST}",
        f"{R}:5000/team/app", "registry.example.evil.io/team/app", f"evil.io/{R}/team/app", "team/app", "team",
        "docker.io/team/app", f"library/{R}/team", f"{R}team/app", f"{R}/team app", f"{R}/team\\app",
    ],
    f"{R}/team/": [f"{R}/team", f"{R}/team:1", f"{R}/team@{DIGEST}", f"{R}/team-evil/app", f"{R}/teams/app"],
    "nginx": [
        "nginx-evil", "nginx/nginx", "nginx/evil", "evil/nginx", "team/nginx:1", "nginxx", "ngin", "xnginx",
        "nginx.evil",
        "nginx_evil", "nginx1", "nginx.io/nginx", "quay.io/nginx", "quay.io/library/nginx", "localhost/nginx",
        "localhost:5000/nginx", "docker.io/evil/nginx", "docker.io/library/nginx-evil",
        "docker.io.evil.io/library/nginx", "docker.io:5000/library/nginx", "library/library/nginx", "docker.com/nginx",
        "docker.io/library/library/nginx",
        "registry-1.docker.io/library/nginx", "hub.docker.io/library/nginx", "evil.docker.io/library/nginx",
        "docker-io/library/nginx", "docker.io-evil.io/nginx", "dockerxio/library/nginx", "Nginx", "NGINX", "ngınx",
        "nginх", "nginx\u200b", "library-evil/nginx", "librar/nginx", "index.docker.io.evil.io/library/nginx",
        "index-docker.io/library/nginx", "nginx:5000/library", "nginx:5000/nginx", "ghcr.io/library/nginx:1.29",
    ],
    "team/": [
        "team", "team:1", "docker.io/team", "library/team", "team-evil/app", "teams/app", "xteam/app", "evil/team",
        "evil/team/app", "team.io/app", "team:5000/app", "quay.io/team/app", f"{R}/team/app", "localhost/team/app",
        "docker.io.evil.io/team/app", "docker.io/library/team/app", "TEAM/app", "tea/m",
    ],
    "docker.io/library": [
        "team/app", "docker.io/library-evil/app", "library.io/app", "quay.io/library/nginx", "librarys/nginx",
        "docker.io.evil.io/library/nginx", "docker.io:5000/library/nginx", "library:5000/nginx", "xlibrary/nginx",
    ],
    f"{R}:5000": [
        f"{R}/app", f"{R}:50000/app", f"{R}:500/app", f"{R}:5001/app", f"{R}.evil.io:5000/app", f"x{R}:5000/app",
        f"{R}:15000/app", f"evil.io/{R}:5000", f"{R}:5000", "registry.example.io:5000/app",
    ],
    "localhost": [
        "localhost:5000/app", "localhost.evil.io/app", "localhost", "localhosts/app", "evil.io/localhost/app",
    ],
    f"{R}/team-*": [f"{R}/team", f"{R}/team/a", f"{R}/xteam-a", f"{R}/a/team-b", f"{R}.evil.io/team-a"],
    f"{R}/*/app": [f"{R}/app", f"{R}/a/b/app", f"{R}/a/application", f"{R}/a/app-evil", f"{R}/a/xapp", "evil.io/a/app"],
    f"{R}/**/app": [f"{R}/apps", f"{R}/a/xapp", f"{R}.evil.io/app", f"evil.io/{R}/app"],
    "*.registry.example": [
        f"{R}/app", "a.b.registry.example/app", "aregistry.example/app", "a.registry.example.evil.io/app",
        "a.registry.example:5000/app", "evil.io/a.registry.example/app", "a.registry.examples/app",
    ],
    "*-docker.pkg.dev/p": [
        "evil.io/x-docker.pkg.dev/p/app", "europe-docker.pkg.dev.evil.io/p/app", "a.b-docker.pkg.dev/p/app",
        "europe-docker.pkg.dev/p-evil/app", "europe-docker.pkg.dev/x/p/app",
    ],
    "*/nginx": ["nginx", f"{R}/a/nginx", f"{R}/nginx-evil", f"{R}/xnginx"],
    "nginx:1.*": [
        "nginx", "nginx:2.1", "nginx:11", f"nginx:1.2@{DIGEST}", "nginx-evil:1.2", "nginx/x:1.2", "nginx:x1.2",
    ],
    "nginx:1": ["nginx:1.2", "nginx:11", "nginx:latest", f"nginx:1@{DIGEST}"],
    "*@sha256:*": ["nginx", "nginx:1", f"{R}/a:sha256"],
    f"{R}/app@{DIGEST}": [f"{R}/app@{DIGEST[:-1]}0", f"{R}/app:1", f"{R}/app/b@{DIGEST}", f"{R}/app-b@{DIGEST}"],
}  # fmt: skip


def admitted(text: str, reference: str) -> bool:
    """Say whether the text is a reference, which else is a finding, and the pattern matches it."""
    try:
        parsed = image.parse(reference)
    except ValueError:
        return False
    return image.pattern(text)(parsed)


@pytest.mark.parametrize(("text", "reference"), [(text, one) for text, many in MATCHES.items() for one in many])
def test_a_pattern_matches(text: str, reference: str) -> None:
    assert admitted(text, reference)


@pytest.mark.parametrize(("text", "reference"), [(text, one) for text, many in CONFUSABLES.items() for one in many])
def test_a_pattern_never_matches_what_only_looks_alike(text: str, reference: str) -> None:
    assert not admitted(text, reference)


def test_there_are_two_hundred_confusables_and_most_of_them_are_references() -> None:
    references = {one for many in CONFUSABLES.values() for one in many}
    assert sum(len(many) for many in CONFUSABLES.values()) >= 200
    valid = 0
    for one in references:
        try:
            image.parse(one)
        except ValueError:
            continue
        valid += 1
    assert valid >= 120


@pytest.mark.parametrize(
    "text", [text for text in CONFUSABLES if "*" not in text and ":1" not in text and "@" not in text]
)
def test_every_literal_pattern_of_the_confusables_matches_something(text: str) -> None:
    prefix = image.pattern(text).prefix
    assert prefix is not None
    assert image.pattern(text)(image.parse(f"{prefix}/below:1"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty pattern"),
        ("https://registry.example", "is a URL"),
        ("registry.example//team", "empty segment"),
        ("registry.example/Team", "small letters"),
        ("registry.example/team**", "whole segment"),
        ("registry.example/team?", "no repository's name"),
        ("registry.example/[ab]", "no repository's name"),
        ("registry.example/team/:1", "no repository in front"),
        ("registry.example/@sha256:*", "no repository in front"),
        ("registry.example@sha256:*", "no repository in front"),
        ("registry.example/app:", "tag"),
        ("registry.example/app@md5:*", "digest"),
        ("registry.*", "last label"),
        ("gcr.io*", "last label"),
        ("registry.*/team", "last label"),
        ("registry..example/team", "no host"),
        (".example/team", "no host"),
        ("a/" * 1000, "longer than"),
        ("nginx ", "no repository's name"),
        (" registry.example/", "no host"),
        ("registry.example:port/", "no host"),
        ("/team", "empty segment"),
        ("team-/app", "no repository's name"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        image.pattern(text)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("registry.example/", R), (f"{R}/team/", f"{R}/team"), ("nginx", "docker.io/library/nginx"), (f"{R}/*", None),
     ("nginx:1", None), (f"{R}/app@sha256:*", None), ("index.docker.io", "docker.io"), (f"{R}:443/x", f"{R}/x")],
)  # fmt: skip
def test_a_pattern_without_globs_has_a_prefix(text: str, prefix: str | None) -> None:
    assert image.pattern(text).prefix == prefix


def test_no_glob_takes_more_than_linear_time() -> None:
    pattern = image.pattern(f"{R}/" + "*a" * 40 + "/**/" + "*b" * 40)
    reference = image.parse(f"{R}/" + "a" * 120 + "/" + "b" * 120 + "/c")
    began = time.process_time()
    pattern(reference)
    assert time.process_time() - began < 0.1


HOSTS = st.sampled_from(["", "docker.io/", "registry.example/", "registry.example:5000/", "localhost/", "evil.io/"])
PATHS = st.from_regex(r"[a-z]{1,3}([-_.][a-z]{1,2})?(/[a-z]{1,3}([-.][a-z]{1,2})?){0,2}", fullmatch=True)


@given(HOSTS, PATHS, PATHS)
def test_a_literal_pattern_matches_by_whole_segments(host: str, wanted: str, other: str) -> None:
    pattern, candidate = image.pattern(host + wanted), image.parse(host + other)
    assert pattern.prefix is not None
    segments, names = pattern.prefix.split("/"), candidate.name.split("/")
    assert pattern(candidate) == (names[: len(segments)] == segments)


@given(st.text(max_size=20))
def test_any_text_is_an_image_or_a_sentence(text: str) -> None:
    try:
        parsed = image.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert image.parse(str(parsed)) == parsed


def test_a_reference_is_named_by_one_of_several_patterns_and_none_names_what_is_no_reference() -> None:
    patterns = [image.pattern("registry.example/base/"), image.pattern("nginx")]
    assert image.named("registry.example/base/java:21", patterns)
    assert image.named("nginx", patterns)
    assert not image.named("registry.example/team/java:21", patterns)
    assert not image.named("Not An Image", [image.pattern("*")])
