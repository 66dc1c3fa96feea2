"""What images are is a fact like others: asked for where a rule needs it, and where it is not known, unknown."""

from __future__ import annotations

import pytest

from webhook.engine.evaluate import evaluate, needs
from webhook.engine.facts import Facts, Needs
from webhook.model import oci
from webhook.model.oci import Inspected, Lookup
from webhook.model.patch import apply

BASE, WEB = "registry.example/base/java:17", "registry.example/shop/web:1.4.2"
DIGEST = "sha256:" + "2" * 64
BASES = """
rules:
  - name: base
    check: approved-base
    params: {bases: ["registry.example/base/java:17"]}
    action: deny
    existing: deny
    %s
"""
PIN = "rules:\n  - {name: pin, check: image-digest, fix: true, action: warn, %s}\n"


def known(*layers, digest=DIGEST):
    return Inspected(oci.load({"digest": digest, "builds": [{"config": {"rootfs": {"diff_ids": list(layers)}}}]}))


def facts(*layers, **more):
    images = {BASE: known("os", "jdk"), WEB: known(*layers), **more}
    return Facts(images={Lookup(name): what for name, what in images.items()})


def wrapped(*manifests):
    head = {"apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork"}
    spec = {"workload": {"manifests": list(manifests)}}
    return {**head, "metadata": {"name": "w", "namespace": "member"}, "spec": spec}


def test_an_image_is_denied_by_its_layers_and_let_in_by_them(judge, load, deployment):
    packs = load(BASES % "")
    assert judge(packs, deployment(), facts=facts("os", "jdk", "web")).allowed
    decision = judge(packs, deployment(), facts=facts("debian", "web"))
    assert not decision.allowed
    assert [finding.violation.wanted for finding in decision.findings] == [f"FROM {BASE}"]


@pytest.mark.parametrize(("by", "allowed", "said"), [("", True, "warn"), ("onUnknown: deny", False, "deny")])
def test_an_image_that_is_not_known_is_decided_by_on_unknown(judge, load, deployment, by, allowed, said):
    decision = judge(load(BASES % by), deployment(), facts=Facts())
    assert (decision.allowed, decision.findings) == (allowed, ())
    assert [(fault.fact, fault.effective) for fault in decision.unknown] == [("images", said)]


def test_a_rule_asks_for_the_images_in_its_scope_and_for_the_bases(load, review, deployment):
    packs = load(BASES % "match: {containers: [web]}")
    both = [{"name": "web", "image": WEB}, {"name": "other", "image": "registry.example/other:1"}]
    wanted = needs(packs, review(deployment(pod={"containers": both})), "validate")
    assert wanted == Needs(images=frozenset({Lookup(WEB), Lookup(BASE)}))
    assert needs(packs, review(deployment(pod={"containers": both[1:]})), "validate") == Needs()


def test_images_in_a_wrapper_are_asked_for_without_the_pull_secrets_of_another_cluster(judge, load, review, deployment):
    packs = load(BASES % "")
    private = deployment(pod={"imagePullSecrets": [{"name": "pull"}]})
    assert Lookup(WEB, ("pull",)) in needs(packs, review(private), "validate").images
    work = wrapped(private)
    assert needs(packs, review(work), "validate").images == {Lookup(WEB), Lookup(BASE)}
    assert not judge(packs, work, facts=facts("debian"), namespace="member").allowed
    assert judge(packs, work, facts=facts("os", "jdk"), namespace="member").allowed


def test_an_update_that_changes_nothing_is_judged_anew_since_a_tag_may_be_something_else(judge, load, deployment):
    packs, same = load(BASES % ""), deployment()
    assert not judge(packs, same, old=same, facts=facts("debian")).allowed
    # what only a fix asks for makes no verdict
    assert judge(load(PIN % "existing: deny"), same, old=same).findings == ()


def test_digests_are_asked_for_where_fixes_are_made_and_nowhere_else(load, review, deployment, pod):
    packs = load(PIN % "")
    for endpoint in ("validate", "advise", "all"):
        assert needs(packs, review(deployment()), endpoint) == Needs()
    assert needs(packs, review(deployment()), "mutate") == Needs(images=frozenset({Lookup(WEB)}))
    assert needs(load(PIN.replace("fix: true", "fix: false") % ""), review(deployment()), "mutate") == Needs()


def test_nothing_is_asked_where_no_fix_may_be_made(load, review, deployment, pod):
    packs = load(PIN % "")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    made = deployment(kind="ReplicaSet", metadata={"ownerReferences": [owner]})
    assert needs(packs, review(made), "mutate") == Needs()
    assert needs(packs, review(pod(), old=pod(image="a:1")), "mutate") == Needs()
    assert needs(packs, review(pod(metadata={"ownerReferences": [owner]})), "mutate").images == {Lookup(WEB)}


def pinned(packs, asked, known, now):
    decision = evaluate(packs, asked, known, now, "mutate")
    return decision, apply(asked.object, list(decision.patch))


def test_tags_are_pinned_once_and_for_good_where_the_template_is_written(load, review, deployment, now):
    packs = load(PIN % "")
    same = [{"name": name, "image": WEB} for name in ("web", "twin")]
    decision, after = pinned(packs, review(deployment(pod={"containers": same})), facts("x"), now)
    assert {c["image"] for c in after["spec"]["template"]["spec"]["containers"]} == {f"{WEB}@{DIGEST}"}
    assert [(fixed.rule, fixed.operations) for fixed in decision.patched] == [("pin", 2)]
    assert pinned(packs, review(after), facts("x"), now)[0].patch == ()
    # an update of something else causes no rollout, one of the template pins what it writes
    scaled = deployment(spec={"replicas": 5})
    assert pinned(packs, review(scaled, old=deployment()), facts("x"), now)[0].patch == ()
    _, after = pinned(packs, review(deployment(), old=deployment(image="a:1")), facts("x"), now)
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == f"{WEB}@{DIGEST}"


def test_what_a_fix_lacks_is_unknown_once_and_the_rest_is_pinned(load, review, deployment, now):
    packs = load(PIN % "")
    both = [{"name": "web", "image": WEB}, {"name": "other", "image": "other.example/x:1"}]
    other = {"other.example/x:1": Inspected(lacking="other.example did not answer in time")}
    decision, after = pinned(packs, review(deployment(pod={"containers": both})), facts("x", **other), now)
    images = [container["image"] for container in after["spec"]["template"]["spec"]["containers"]]
    assert images == [f"{WEB}@{DIGEST}", "other.example/x:1"]
    assert decision.allowed
    assert [(fault.fact, fault.effective, fault.message) for fault in decision.unknown] == [
        ("images", "warn", "other.example/x:1 is not pinned to its digest: other.example did not answer in time")
    ]


def test_an_image_that_another_rule_has_rewritten_is_not_pinned_by_the_digest_of_what_it_was(
    load, review, deployment, now
):
    text = """
    rules:
      - name: mirror
        check: approved-image
        params: {repositories: [registry.example/], mirrors: [{from: docker.io/, to: registry.example/hub/}]}
        action: deny
        fix: true
      - {name: pin, check: image-digest, action: warn, fix: true}
    """
    hub = {"docker.io/library/nginx:1": known("x")}
    decision, after = pinned(load(text), review(deployment(image="nginx:1")), facts("x", **hub), now)
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/hub/library/nginx:1"
    assert decision.conflicts == ()
    assert [fault.rule for fault in decision.unknown] == ["pin"]
