"""The service gathers what the rules need, and nothing else; it keeps the last good rules, and records."""

from __future__ import annotations

import time

import pytest

from webhook.errors import ConfigError, Problem
from webhook.model import oci
from webhook.model.oci import Inspected, Lookup
from webhook.ports import Owner, Unknown
from webhook.service import FOR_JUDGING, GATHER_SECONDS, IMAGE_SECONDS, NO_REGISTRY, Service

PLAIN = 'rules:\n  - {name: never, expression: "containers.size() == 0", action: deny, existing: deny%s}\n'
BY_LABEL = PLAIN % ", match: {namespaceSelector: {matchLabels: {env: prod}}}"
BY_NAME = PLAIN % ", match: {names: [node-exporter]}"


class Namespaces:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def get(self, name, timeout):
        self.asked.append((name, timeout))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Owners(Namespaces):
    def chain(self, namespace, references, timeout):
        return self.get((namespace, references[0]["name"]), timeout)


@pytest.fixture
def serve(load, now):
    def make(text, **rooms):
        packs = load(text)
        return Service(lambda: packs, clock=lambda: now, **rooms)

    return make


def prod(env="prod"):
    return {"metadata": {"name": "shop", "labels": {"env": env}}}


def owned(obj, name="ds"):
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": "1", "controller": True}
    obj["metadata"]["ownerReferences"] = [reference]
    return obj


def test_facts_that_no_rule_needs_are_not_gathered(serve, review, pod):
    namespaces, owners = Namespaces(prod()), Owners(())
    service = serve(PLAIN % "", namespaces=namespaces, owners=owners)
    assert not service.decide("validate", review(owned(pod()))).allowed
    assert namespaces.asked == owners.asked == []


@pytest.mark.parametrize(("env", "allowed"), [("prod", False), ("test", True)])
def test_a_namespace_is_gathered_once_for_the_rules_that_select_by_it(serve, review, deployment, env, allowed):
    namespaces = Namespaces(prod(env))
    service = serve(BY_LABEL, namespaces=namespaces)
    assert service.decide("validate", review(deployment())).allowed is allowed
    assert [name for name, _ in namespaces.asked] == ["shop"]


def test_a_namespace_that_cannot_be_had_is_unknown_with_its_reason(serve, review, deployment):
    service = serve(BY_LABEL, namespaces=Namespaces(Unknown("timed out")))
    decision = service.decide("validate", review(deployment()))
    assert decision.allowed
    assert ["timed out" in fault.message for fault in decision.unknown] == [True]


def test_without_a_cluster_facts_are_unknown(serve, review, deployment, pod):
    assert "no connection" in serve(BY_LABEL).decide("validate", review(deployment())).unknown[0].message
    assert "no connection" in serve(BY_NAME).decide("validate", review(owned(pod()))).unknown[0].message


def test_owners_are_gathered_for_objects_that_have_one(serve, review, pod):
    owners = Owners((Owner("apps", "DaemonSet", "node-exporter", "1", None, {}),))
    service = serve(BY_NAME, owners=owners)
    assert service.decide("validate", review(pod())).allowed
    assert owners.asked == []
    assert not service.decide("validate", review(owned(pod()))).allowed
    assert [what for what, _ in owners.asked] == [("shop", "ds")]


def test_owners_that_only_a_finding_asks_for_are_gathered_then(serve, review, deployment, pod):
    meta = {"uid": "1", "creationTimestamp": "2026-11-19T23:59:59Z"}
    stored = deployment(name="ds", kind="DaemonSet", metadata=meta)
    owners = Owners((Owner("apps", "DaemonSet", "ds", "1", None, stored),))
    service = serve((PLAIN % ", enforceFrom: 2026-11-20").replace(", existing: deny", ""), owners=owners)
    user = {"username": "system:serviceaccount:kube-system:daemon-set-controller"}
    decision = service.decide("validate", review(owned(pod()), userInfo=user))
    assert decision.allowed and decision.findings[0].existing
    assert len(owners.asked) == 1
    assert not service.decide("validate", review(owned(pod()))).allowed
    assert len(owners.asked) == 1, "who is no controller has nothing looked up for him"


def test_owners_that_were_had_count_where_one_above_them_could_not_be(serve, review, deployment, pod):
    reference = {"apiVersion": "example.com/v1", "kind": "Shop", "name": "shop", "uid": "2", "controller": True}
    meta = {"uid": "1", "creationTimestamp": "2026-11-19T23:59:59Z", "ownerReferences": [reference]}
    stored = deployment(name="ds", kind="DaemonSet", metadata=meta)
    found = (Owner("apps", "DaemonSet", "ds", "1", None, stored),)
    owners = Owners(Unknown("how to read example.com/Shop isn't known", found))
    service = serve((PLAIN % ", enforceFrom: 2026-11-20").replace(", existing: deny", ""), owners=owners)
    user = {"username": "system:serviceaccount:kube-system:daemon-set-controller"}
    decision = service.decide("validate", review(owned(pod()), userInfo=user))
    assert decision.allowed and decision.unknown == ()


@pytest.mark.parametrize(("left", "most"), [(None, GATHER_SECONDS), (60, GATHER_SECONDS), (0.1, 0.1), (-1, 0)])
def test_a_look_up_takes_no_longer_than_the_caller_waits(serve, review, deployment, left, most):
    namespaces = Namespaces(prod())
    deadline = None if left is None else time.monotonic() + left
    serve(BY_LABEL, namespaces=namespaces).decide("validate", review(deployment()), deadline)
    [(_, timeout)] = namespaces.asked
    assert 0 <= timeout <= most


MODES = "allowNamespaceMode: [dry-run]\n" + PLAIN % ""


class Access:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def may(self, user, right, timeout):
        self.asked.append((user["username"], str(right)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def labelled(**labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}


@pytest.mark.parametrize(("answer", "allowed"), [(True, True), (False, False), (Unknown("timed out"), False)])
def test_a_right_is_asked_for_where_a_write_hangs_on_it(serve, review, answer, allowed):
    access = Access(answer)
    service = serve(MODES, access=access)
    assert service.decide("advise", review(labelled(team="a"))).allowed
    assert access.asked == []
    assert service.decide("advise", review(labelled(**{"plimsoll.dev/mode": "dry-run"}))).allowed is allowed
    assert access.asked == [("jane", "set-mode on namespaces.plimsoll.dev shop")]


def test_without_a_cluster_nobody_can_say_that_somebody_has_a_right(serve, review):
    decision = serve(MODES).decide("advise", review(labelled(**{"plimsoll.dev/mode": "dry-run"})))
    assert not decision.allowed
    assert "no connection" in decision.unknown[0].message


BASE, WEB = "registry.example/base:1", "registry.example/shop/web:1.4.2"
BY_IMAGE = f"""
rules:
  - {{name: base, check: approved-base, params: {{bases: ["{BASE}"]}}, action: deny, onUnknown: %s}}
  - {{name: pin, check: image-digest, action: warn, fix: true}}
"""


def content(*layers):
    digest = "sha256:" + "2" * 64
    return oci.load({"digest": digest, "builds": [{"config": {"rootfs": {"diff_ids": list(layers)}}}]})


class Images:
    """A registry of some images; of all others it says that it has none."""

    def __init__(self, web=("os", "web")):
        self.known = {WEB: content(*web), BASE: content("os")}
        self.asked = []

    def look(self, lookups, namespace, timeout):
        self.asked.append((set(lookups), namespace, timeout))
        return {
            lookup: Inspected(self.known[lookup.reference])
            if lookup.reference in self.known
            else Inspected(lacking="there is no such image", absent=True)
            for lookup in lookups
        }


def test_all_images_of_a_review_are_asked_for_at_once_with_the_pods_own_secrets(serve, review, deployment):
    images = Images()
    service = serve(BY_IMAGE % "deny", images=images)
    asked = review(deployment(pod={"imagePullSecrets": [{"name": "pull"}]}))
    assert service.decide("validate", asked).allowed
    [(lookups, namespace, _)] = images.asked
    assert (lookups, namespace) == ({Lookup(WEB, ("pull",)), Lookup(BASE)}, "shop")


def test_fixes_ask_for_what_they_write_and_nothing_more(serve, review, deployment):
    images = Images()
    decision = serve(BY_IMAGE % "deny", images=images).decide("mutate", review(deployment()))
    assert [lookups for lookups, _, _ in images.asked] == [{Lookup(WEB)}]
    assert [operation["value"] for operation in decision.patch] == [f"{WEB}@sha256:{'2' * 64}"]


def test_the_images_of_a_wrapper_are_asked_for_without_the_secrets_of_another_cluster(serve, review, deployment):
    images = Images()
    manifest = deployment(pod={"imagePullSecrets": [{"name": "pull"}]})
    work = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "metadata": {"name": "w", "namespace": "member"},
        "spec": {"workload": {"manifests": [manifest]}},
    }
    assert serve(BY_IMAGE % "deny", images=images).decide("validate", review(work)).allowed
    assert [lookups for lookups, _, _ in images.asked] == [{Lookup(WEB), Lookup(BASE)}]


@pytest.mark.parametrize("rooms", [{}, {"images": Images()}], ids=["no registry", "no image"])
@pytest.mark.parametrize(("by", "allowed"), [("warn", True), ("deny", False)])
def test_images_that_are_not_known_are_decided_by_on_unknown(serve, review, deployment, rooms, by, allowed):
    decision = serve(BY_IMAGE % by, **rooms).decide("validate", review(deployment(image="registry.example/gone:1")))
    assert decision.allowed is allowed
    reason = "there is no such image" if rooms else NO_REGISTRY
    assert [(fault.rule, fault.fact, reason in fault.message) for fault in decision.unknown] == [
        ("base", "images", True)
    ]


def test_a_rule_that_needs_no_image_is_decided_while_images_are_not_known(serve, review, deployment):
    text = BY_IMAGE % "warn" + '  - {name: never, expression: "containers.size() == 0", action: deny}\n'
    decision = serve(text).decide("validate", review(deployment()))
    assert [finding.rule for finding in decision.findings] == ["never", "pin"]
    assert [fault.rule for fault in decision.unknown] == ["base"]


def test_an_update_that_changes_nothing_asks_again(serve, review, deployment):
    images = Images(web=("debian",))
    decision = serve(BY_IMAGE % "warn", images=images).decide("validate", review(deployment(), old=deployment()))
    assert len(images.asked) == 1
    assert [finding.effective for finding in decision.findings] == ["warn"]


ROOT = "rules: [{name: root, check: image-config, params: {nonRoot: true, platform: false}, action: deny%s}]"


@pytest.mark.parametrize("there", [True, False])
def test_a_release_has_what_the_image_before_it_had_where_that_is_known(serve, review, deployment, there):
    """The image before is asked for only where the new one is denied."""
    images, before = Images(), "registry.example/shop/web:1.4.1"
    if there:
        images.known[before] = content("os")
    update = review(deployment(), old=deployment(image=before))
    decision = serve(ROOT % "", images=images).decide("validate", update)
    assert [(finding.violation.found, finding.existing) for finding in decision.findings] == [("no User", there)]
    assert decision.allowed is there
    assert [lookups for lookups, _, _ in images.asked] == [{Lookup(WEB)}, {Lookup(before)}]
    images.asked.clear()
    assert not serve(ROOT % ", existing: deny", images=images).decide("validate", update).allowed
    assert not serve(ROOT % "", images=images).decide("validate", review(deployment())).allowed
    assert [lookups for lookups, _, _ in images.asked] == [{Lookup(WEB)}] * 2


@pytest.mark.parametrize("left", [None, 60, 1, 0.1, -1])
def test_registries_leave_time_to_judge(serve, review, deployment, left):
    images = Images()
    deadline = None if left is None else time.monotonic() + left
    serve(BY_IMAGE % "warn", images=images).decide("validate", review(deployment()), deadline)
    [(_, _, timeout)] = images.asked
    most = IMAGE_SECONDS if left is None else min(IMAGE_SECONDS, max(0, left) * (1 - FOR_JUDGING))
    assert 0 <= timeout <= most


def test_every_decision_is_recorded_with_its_endpoint_and_time(serve, review, deployment):
    records = []

    class Recorder:
        def record(self, *what):
            records.append(what)

    asked = review(deployment())
    decision = serve(PLAIN % "", recorder=Recorder()).decide("validate", asked)
    [(endpoint, recorded, decided, seconds)] = records
    assert (endpoint, recorded, decided) == ("validate", asked, decision)
    assert seconds > 0


def test_the_first_rules_must_be_good(load):
    with pytest.raises(ConfigError):
        Service(lambda: load("rules: 3"))


def test_rules_that_cannot_be_loaded_leave_the_last_good_ones(load, review, deployment):
    good, bad = load(PLAIN % ""), ConfigError([Problem("a.yaml", 3, "", "wrong")])
    answers = [good, bad, load((PLAIN % "").replace("deny", "warn", 1))]

    def read():
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    service = Service(read)
    assert service.reload() is False
    assert service.problems is bad
    assert not service.decide("validate", review(deployment())).allowed
    assert service.ready() == (True, "1 pack with 1 rule")
    assert service.reload() is True
    assert service.problems is None
    assert service.decide("validate", review(deployment())).allowed
