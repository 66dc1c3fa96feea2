"""What an image is: manifests and indexes of both families, platforms, attestations, and what is refused of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from webhook.model.oci import Platform, dump, load
from webhook.registry.source import Absent, Unanswered

from .conftest import DOCKER, DOCKER_LIST, LAYER, OCI_INDEX, digest

AMD, ARM = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64", "variant": "v8"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}


@pytest.mark.parametrize("media", ["application/vnd.oci.image.manifest.v1+json", DOCKER])
def test_an_image_comes_with_its_config_and_layers_in_order(media: str, lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image(layers=("base", "empty", "app", "empty"), media=media, config={"User": "7", "Labels": {"a": "b"}})
    found = lab.plain(site).content(app(site), 5)
    (build,) = found.builds
    assert (found.digest, found.index, build.digest) == (held["digest"], False, held["digest"])
    assert build.platform == Platform("linux", "amd64")
    assert [layer.digest for layer in build.layers] == [digest(one) for one in ("base", "empty", "app", "empty")]
    assert build.size == len("baseemptyappempty")
    assert build.diff_ids[0] == digest("base unpacked") and build.diff_ids[1] == build.diff_ids[3]
    assert (build.execution["User"], build.labels) == ("7", {"a": "b"})
    assert load(json.loads(json.dumps(dump(found)))) == found


@pytest.mark.parametrize("media", [OCI_INDEX, DOCKER_LIST])
def test_an_index_gives_the_build_of_every_platform(media: str, lab: Any, app: Any) -> None:
    site = lab.site()
    amd = site.image(tag="amd")
    arm = site.image(tag="arm", architecture="arm64", variant="v8")
    whole = site.index([{**amd, "platform": AMD}, {**arm, "platform": ARM}], media=media, annotations={"a": "b"})
    found = lab.plain(site).content(app(site), 5)
    assert (found.digest, found.index, found.annotations) == (whole["digest"], True, {"a": "b"})
    assert [(build.digest, str(build.platform)) for build in found.builds] == [
        (amd["digest"], "linux/amd64"),
        (arm["digest"], "linux/arm64"),
    ]


def test_both_families_and_indexes_are_asked_for(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    lab.plain(site).content(app(site), 5)
    accepted = site.calls[0].headers["accept"]
    assert all(kind in accepted for kind in (OCI_INDEX, DOCKER, DOCKER_LIST, "oci.image.manifest.v1+json"))
    assert site.calls[0].headers["accept-encoding"] == "identity"


def test_a_digest_is_asked_for_even_beside_a_tag(lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image(tag="2")
    found = lab.plain(site).content(app(site, f":1@{held['digest']}"), 5)
    assert found.digest == held["digest"]
    assert site.paths[0] == f"GET /v2/team/app/manifests/{held['digest']}"


def test_sha512_is_verified_too(lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()
    data = site.answers["/v2/team/app/manifests/1"]
    name = digest(data[2], "sha512")
    site.answers[f"/v2/team/app/manifests/{name}"] = data
    assert lab.plain(site).content(app(site, f"@{name}"), 5).digest == name
    site.answers[f"/v2/team/app/manifests/{name}"] = 200, {}, data[2] + b" "
    with pytest.raises(Unanswered, match="has another digest, sha512:"):
        lab.plain(site).content(app(site, f"@{name}"), 5)
    assert held["digest"].startswith("sha256:")


def test_only_the_platforms_of_the_file_are_fetched(lab: Any, app: Any) -> None:
    site = lab.site()
    amd, arm = site.image(tag="amd"), site.image(tag="arm", architecture="arm64")
    site.index([{**amd, "platform": AMD}, {**arm, "platform": ARM}])
    entry = f"{{host: '{site.host}', insecure: true, addresses: [127.0.0.1/32]}}"
    found = lab.client(f"registries: [{entry}]\nplatforms: [linux/arm64]").content(app(site), 5)
    assert [str(build.platform) for build in found.builds] == ["linux/arm64"]
    assert f"GET /v2/team/app/manifests/{amd['digest']}" not in site.paths
    with pytest.raises(Unanswered, match="an index without an image for windows/amd64"):
        lab.client(f"registries: [{entry}]\nplatforms: [windows/amd64]").content(app(site), 5)


@pytest.mark.parametrize(
    ("listed", "platforms", "read"),
    [
        ("linux/arm64/v8", ["linux/arm64/v8", "linux/amd64"], ["linux/arm64"]),
        ("linux/aarch64", ["linux/arm64", "linux/amd64"], ["linux/arm64"]),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v8"], ["linux/arm/v6"]),
        # a node takes the 32-bit build where the index has none that it is sure to take: that one is not hidden
        ("linux/amd64", ["linux/386", "linux/arm64"], ["linux/386"]),
        ("linux/amd64", ["linux/386", "linux/amd64/v3"], ["linux/386", "linux/amd64/v3"]),
        ("linux/amd64", ["linux/386", "windows/amd64"], ["linux/386"]),
        ("linux/arm64", ["linux/arm/v7", "linux/amd64"], ["linux/arm/v7"]),
        ("linux/amd64", ["linux/386", "linux/amd64"], ["linux/amd64"]),
    ],
)
def test_all_that_a_node_of_a_listed_platform_takes_is_read(
    listed: str, platforms: list[str], read: list[str], lab: Any, app: Any
) -> None:
    site = lab.site()
    entries = []
    for name in platforms:
        system, machine, variant = (*name.split("/"), "")[:3]
        held = site.image(tag=name.replace("/", "-"), os=system, architecture=machine)
        entries.append({**held, "platform": {"os": system, "architecture": machine, "variant": variant}})
    site.index(entries)
    entry = f"{{host: '{site.host}', insecure: true, addresses: [127.0.0.1/32]}}"
    found = lab.client(f"registries: [{entry}]\nplatforms: [{listed}]").content(app(site), 5)
    assert [str(build.platform) for build in found.builds] == read


def test_what_a_config_says_hides_no_build_from_a_listed_platform(lab: Any, app: Any) -> None:
    site = lab.site()
    arm, bare = site.image(tag="arm", architecture="arm64"), site.image(tag="bare", architecture="s390x")
    site.index([{**arm, "platform": ARM}, bare])
    entry = f"{{host: '{site.host}', insecure: true, addresses: [127.0.0.1/32]}}"
    found = lab.client(f"registries: [{entry}]\nplatforms: [linux/amd64, linux/arm64]").content(app(site), 5)
    assert [build.digest for build in found.builds] == [arm["digest"], bare["digest"]]


def test_the_platform_of_the_index_counts_as_it_does_for_nodes(lab: Any, app: Any) -> None:
    site = lab.site()
    forged = site.image(tag="forged", architecture="s390x")
    bare = site.image(tag="bare", architecture="arm64", variant="v8")
    site.index([{**forged, "platform": {"os": "Linux", "architecture": "x86_64"}}, bare])
    found = lab.plain(site).content(app(site), 5)
    assert [str(build.platform) for build in found.builds] == ["linux/amd64", "linux/arm64"]


def test_a_single_image_without_an_architecture_is_kept(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image(architecture="")
    found = lab.plain(site).content(app(site), 5)
    assert str(found.builds[0].platform) == "linux/unknown"
    assert load(dump(found)) == found


def _attestation(site: Any, build: dict[str, Any], predicate: str, body: bytes, **descriptor: Any) -> dict[str, Any]:
    layer = {**site.blob("team/app", body), "mediaType": "application/vnd.in-toto+json"}
    layer["annotations"] = {"in-toto.io/predicate-type": predicate}
    config = site.blob("team/app", b'{"architecture": "unknown", "os": "unknown"}')
    held = site.document("team/app", f"proof-{len(site.answers)}", {"config": config, "layers": [layer]})
    notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": build["digest"]}
    return {**held, "platform": UNKNOWN, "annotations": notes, **descriptor}


JRE = f"pkg:docker/eclipse-temurin@21-jre?digest={digest('jre')}&platform=linux%2Famd64"
OWN = "pkg:docker/registry.example/base/java@21?platform=linux%2Famd64"


@pytest.mark.parametrize(
    ("predicate", "body"),
    [
        (
            "https://slsa.dev/provenance/v0.2",
            {"materials": [{"uri": JRE}, {"uri": OWN}, {"uri": OWN}, {"uri": "git+x"}]},
        ),
        ("https://slsa.dev/provenance/v1", {"buildDefinition": {"resolvedDependencies": [{"uri": JRE}, {"uri": OWN}]}}),
    ],
)
def test_provenance_says_what_went_into_a_build(predicate: str, body: Any, lab: Any, app: Any) -> None:
    site = lab.site()
    amd, arm = site.image(tag="amd"), site.image(tag="arm", architecture="arm64")
    proof = _attestation(site, amd, predicate, json.dumps({"predicate": body}).encode())
    site.index([{**amd, "platform": AMD}, {**arm, "platform": ARM}, proof])
    found = lab.plain(site).content(app(site), 5)
    assert [build.sources for build in found.builds] == [
        (f"docker.io/library/eclipse-temurin:21-jre@{digest('jre')}", "registry.example/base/java:21"),
        (),
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"predicate": 1}', b'{"predicate": {"materials": {"uri": 1}}}'])
def test_an_attestation_that_cannot_be_read_fails_nothing(body: bytes, lab: Any, app: Any) -> None:
    site = lab.site()
    amd = site.image(tag="amd")
    site.index([{**amd, "platform": AMD}, _attestation(site, amd, "https://slsa.dev/provenance/v1", body)])
    assert lab.plain(site).content(app(site), 5).builds[0].sources == ()


def test_an_attestation_that_is_missing_or_hangs_fails_nothing(lab: Any, app: Any) -> None:
    site = lab.site()
    amd = site.image(tag="amd")
    proof = _attestation(site, amd, "https://slsa.dev/provenance/v1", b"{}")
    site.index([{**amd, "platform": AMD}, proof])
    path = f"/v2/team/app/manifests/{proof['digest']}"
    site.answers[path] = lambda handler: site.ended.wait() and None
    assert len(lab.plain(site).content(app(site), 3).builds) == 1
    del site.answers[path]
    assert len(lab.plain(site).content(app(site), 5).builds) == 1


def test_an_annotation_alone_hides_no_build(lab: Any, app: Any) -> None:
    site = lab.site()
    evil = site.image(tag="evil")
    notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest("x")}
    site.index([{**evil, "platform": AMD, "annotations": notes}])
    assert [build.digest for build in lab.plain(site).content(app(site), 5).builds] == [evil["digest"]]


def test_an_image_that_says_no_platform_anywhere_may_run_on_any_node(lab: Any, app: Any) -> None:
    site = lab.site()
    bare = site.image(tag="bare", architecture="")
    site.index([bare])
    entry = f"{{host: '{site.host}', insecure: true, addresses: [127.0.0.1/32]}}"
    for more in ("", "\nplatforms: [linux/arm64]"):
        found = lab.client(f"registries: [{entry}]{more}").content(app(site), 5)
        assert [(build.digest, str(build.platform)) for build in found.builds] == [(bare["digest"], "linux/unknown")]


def test_what_no_node_picks_is_no_build(lab: Any, app: Any) -> None:
    site = lab.site()
    amd = site.image(tag="amd")
    signature = site.document("team/app", "sig", {"config": site.blob("team/app", b"{}"), "layers": []})
    site.index([{**amd, "platform": AMD}, signature, {**signature, "platform": UNKNOWN}])
    assert [build.digest for build in lab.plain(site).content(app(site), 5).builds] == [amd["digest"]]


def test_an_index_of_a_thousand_images_is_not_read_in_part(lab: Any, app: Any) -> None:
    site = lab.site()
    amd = site.image(tag="amd")
    site.index([{**amd, "platform": AMD}] * 1000)
    with pytest.raises(Unanswered, match="an index of 1000 images; at most 16 are read; name the platforms"):
        lab.plain(site).content(app(site), 5)
    assert len(site.calls) == 1


def test_an_index_within_an_index_is_refused(lab: Any, app: Any) -> None:
    site = lab.site()
    inner = site.index([{**site.image(tag="amd"), "platform": AMD}], tag="inner")
    site.index([inner])
    with pytest.raises(Unanswered, match="an index with an index inside"):
        lab.plain(site).content(app(site), 5)
    site.index([{**inner, "mediaType": DOCKER}])
    with pytest.raises(Unanswered, match="an index inside an index"):
        lab.plain(site).content(app(site), 5)


def test_a_part_that_is_missing_does_not_make_the_image_absent(lab: Any, app: Any) -> None:
    site = lab.site()
    amd = site.image(tag="amd")
    site.index([{**amd, "platform": AMD}])
    del site.answers[f"/v2/team/app/manifests/{amd['digest']}"]
    with pytest.raises(Unanswered, match="though the image is made of it"):
        lab.plain(site).content(app(site), 5)


SOME = {"digest": digest("a"), "size": 1}
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "schema 1": ({"schemaVersion": 1, "fsLayers": []}, "Docker's schema 1, which runtimes no longer pull"),
    "both at once": ({"layers": [], "config": {}, "manifests": []}, "an index and an image at once"),
    "neither": ({}, "neither a manifest nor an index"),
    "another type": ({"mediaType": OCI_INDEX, "layers": [], "config": {}}, "its mediaType is .*index"),
    "no list": ({"layers": {}, "config": SOME}, "layers is no list"),
    "no digest": ({"layers": [{**SOME, "digest": "sha256:1"}], "config": SOME}, r"layers\[0\] has no valid digest"),
    "a negative size": ({"layers": [], "config": {**SOME, "size": -1}}, "config has no valid size"),
    "another case": ({"layers": [], "Config": {}, "config": SOME}, "the key 'Config', which runtimes take"),
    "a long s": ({"layers": [], "config": {**SOME, "\u017fize": 2}}, "which runtimes take for another"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_manifest_that_cannot_be_meant_is_refused_in_words(name: str, lab: Any, app: Any) -> None:
    value, text = LIES[name]
    site = lab.site()
    site.document("team/app", "1", json.dumps(value).encode())
    with pytest.raises(Unanswered, match=f"registry.example:{site.port}: team/app:1 cannot be read: .*{text}"):
        lab.plain(site).content(app(site), 5)


GARBAGE = {
    "html": (b"<html>log in</html>", "no JSON"),
    "a list": (b"[]", "no JSON object"),
    "not UTF-8": (b'{"a": "\xff"}', "no JSON"),
    "NaN": (b'{"a": NaN}', "no JSON"),
    "half a surrogate": (b'{"a": "\\ud800"}', "no JSON"),
    "a huge number": (b'{"a": 99999999999999999999}', "no JSON"),
    "a number of 5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
    "a key twice": (b'{"layers": [], "layers": []}', "a key twice"),
    "deep": (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", "nested deeper than 64"),
    "very deep": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 64"),
    "many elements": (b'{"a": [' + b"0," * 60_000 + b"0]}", "more than 50000"),
    "nothing": (b"", "no JSON"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_in_words(name: str, lab: Any, app: Any) -> None:
    data, text = GARBAGE[name]
    site = lab.site()
    site.document("team/app", "1", data)
    with pytest.raises(Unanswered, match=f"team/app:1 cannot be read: it .*{text}"):
        lab.plain(site).content(app(site), 5)


CONFIGS = {
    "a list": (b"[]", "no JSON object"),
    "no rootfs": (b"{}", "no container image"),
    "rootfs is text": (b'{"rootfs": "x"}', "config.rootfs is no object"),
    "ids are no digests": (b'{"rootfs": {"diff_ids": ["x", "y"]}}', "no container image"),
    "too few ids": (b'{"rootfs": {"diff_ids": []}}', "0 diff_ids for 1 layers"),
    "config is a list": (b'{"config": [], "rootfs": {"diff_ids": []}}', "config.config is no object"),
    "user in another case": (b'{"config": {"User": "1", "user": "0"}}', "the key 'user', which runtimes take"),
    "a platform with a slash": (f'{{"os": "a/b", "rootfs": {{"diff_ids": ["{digest("a")}"]}}}}'.encode(), "no word"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_another_kind_is_refused_in_words(name: str, lab: Any, app: Any) -> None:
    data, text = CONFIGS[name]
    site = lab.site()
    layer = {"mediaType": LAYER, "digest": digest("layer"), "size": 1}
    site.document("team/app", "1", {"config": site.blob("team/app", data), "layers": [layer]})
    with pytest.raises(Unanswered, match=text):
        lab.plain(site).content(app(site), 5)


def test_the_digest_of_a_tag_is_one_head(lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()
    assert lab.plain(site).digest(app(site), 5) == held["digest"]
    assert site.paths == ["HEAD /v2/team/app/manifests/1"]


@pytest.mark.parametrize("said", [{}, {"Docker-Content-Digest": "sha256:short"}])
def test_the_digest_is_computed_where_the_registry_does_not_give_it(said: Any, lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()
    site.answers["/v2/team/app/manifests/1"] = 200, said, site.answers["/v2/team/app/manifests/1"][2]
    assert lab.plain(site).digest(app(site), 5) == held["digest"]


def test_a_registry_without_head_is_asked_by_get(lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()
    site.gates.append(lambda handler: (405, {}, b"") if handler.command == "HEAD" else None)
    assert lab.plain(site).digest(app(site), 5) == held["digest"]


def test_a_digest_is_its_own_answer(lab: Any, app: Any) -> None:
    site = lab.site()
    assert lab.plain(site).digest(app(site, f"@{digest('x')}"), 5) == digest("x")
    assert site.calls == []


def test_the_digest_that_a_registry_names_for_a_tag_is_not_believed(lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()
    data = site.answers["/v2/team/app/manifests/1"][2]
    site.answers["/v2/team/app/manifests/1"] = 200, {"Docker-Content-Digest": digest("other")}, data
    assert lab.plain(site).content(app(site), 5).digest == held["digest"]


@pytest.mark.parametrize("method", ["digest", "content"])
def test_what_is_not_there_is_absent(method: str, lab: Any, app: Any) -> None:
    site = lab.site()
    with pytest.raises(Absent, match=rf"registry.example:{site.port} has no team/app:1 \(404"):
        getattr(lab.plain(site), method)(app(site), 5)


def test_connections_are_kept(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    client = lab.plain(site)
    for _ in range(5):
        client.content(app(site), 5)
    assert lab.looked == ["registry.example"]
