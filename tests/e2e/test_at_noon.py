"""Plimsoll as its chart installs it: rolled out anew, its certificate and its packs changed, all under a steady load.

Shortened here; `PLIMSOLL_TIMES=20` does each as often as is promised.
"""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab import installation, packs, workloads
from lab.kubectl import Kubectl, Object
from lab.load import Load, allowed, denied
from lab.process import eventually, until_none
from lab.replicas import Fleet, Replica
from lab.rest import Rest

TIMES = int(os.environ.get("PLIMSOLL_TIMES", "3"))
GOOD = workloads.pod("good")
BAD = workloads.pod("bad", workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL)))
COLOURS = ("red", "blue")
PODS = "/api/v1/namespaces/shop/pods"
DRY = ("--dry-run=server",)
LABEL = {"plimsoll.dev/rule-packs": "true"}
WRONG = {"more.yaml": "kind: RulePack\n"}


def acme(colour: str) -> Object:
    """Return the pack of one moment: requests equal limits, and no Pod has this colour."""
    expression = f"!(object.metadata.?labels.colour.orValue('') == '{colour}')"
    rule = {"name": "colour", "expression": expression, "message": f"not {colour}", "action": "deny"}
    return packs.pack("acme", dict(packs.EQUAL_RESOURCES), rule)


def coloured(colour: str) -> Object:
    """Return a Pod of a colour."""
    return workloads.pod(colour, labels={"colour": colour})


@pytest.fixture(scope="module")
def fleet(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two replicas, as the chart installs them, with a pack applied."""
    with installation.installed(tmp_path_factory.mktemp("noon"), programs) as fleet:
        admin = fleet.plane.admin
        admin("create", "namespace", "shop").must()
        fleet.start()
        fleet.start()
        admin.apply(acme("red")).must()
        installation.settled(fleet)
        eventually(lambda: refused(admin, BAD), what="the pack in force")
        yield fleet


@pytest.fixture
def admin(fleet: Fleet) -> Kubectl:
    """The administrator's kubectl."""
    return fleet.plane.admin


def refused(admin: Kubectl, pod: Object) -> bool:
    """Say whether a Pod is refused."""
    return admin.within("shop").create(pod, options=DRY).code != 0


@pytest.fixture
def loaded(fleet: Fleet) -> Iterator[Load]:
    """A steady load, with the answer that each object is to have."""
    expected = [(GOOD, allowed), (BAD, denied("requests-equal-limits"))]
    with Load(fleet.plane, PODS, expected) as load:
        yield load
    print(dict(load.sent))
    assert load.wrong == []
    assert load.sent["201"] and load.sent["403"]


def test_replicas_are_replaced_one_by_one_and_no_review_fails(fleet: Fleet, loaded: Load) -> None:
    for _ in range(TIMES):
        fleet.start()
        assert fleet.stop(fleet.replicas[0]) == 0


def test_certificate_and_authority_are_changed_and_no_review_fails(fleet: Fleet, admin: Kubectl, loaded: Load) -> None:
    own = admin.within(installation.NAMESPACE)
    for number in range(TIMES):
        name, key = ("plimsoll-tls-ca", "ca.crt") if number % 2 else ("plimsoll-tls", "tls.crt")
        before = own.get(f"secret/{name}")["data"][key]
        own("annotate", f"secret/{name}", "plimsoll.dev/renew=now").must()
        eventually(lambda name=name, key=key, before=before: changed(own, name, key, before), 60, f"another {key}")
        bundle = own.get("secret/plimsoll-tls-ca")["data"]["ca.crt"]
        eventually(lambda bundle=bundle: only(admin, bundle), 60, "that the API server knows one authority")


def changed(own: Kubectl, name: str, key: str, before: str) -> bool:
    """Say whether a Secret has another certificate, and nobody waits for one any more."""
    found = own.get(f"secret/{name}")
    return found["data"][key] != before and "plimsoll.dev/renew" not in found["metadata"].get("annotations", {})


def only(admin: Kubectl, bundle: str) -> bool:
    """Say whether the API server verifies us by this authority alone, everywhere."""
    kinds = ("validatingwebhookconfiguration", "mutatingwebhookconfiguration")
    hooks = [hook for kind in kinds for hook in admin.get(f"{kind}/plimsoll").get("webhooks", ())]
    return {hook["clientConfig"]["caBundle"] for hook in hooks if hook.get("rules")} == {bundle}


def test_a_pack_that_is_applied_judges_within_seconds_everywhere_and_nothing_else_changes(
    fleet: Fleet, admin: Kubectl, loaded: Load
) -> None:
    seconds = []
    with Rest(fleet.plane, "colours") as rest:
        for number in range(TIMES):
            wrong, right = COLOURS[number % 2], COLOURS[1 - number % 2]
            begun = time.monotonic()
            admin.apply(acme(right)).must()
            seconds.append(last(rest, right, wrong) - begun)
    print("from kubectl apply to the last old verdict:", [round(each, 2) for each in seconds])


def last(rest: Rest, right: str, wrong: str) -> float:
    """Return when the last old verdict came, having waited until both replicas gave none for long enough."""
    seen = time.monotonic()
    ends = seen + 60
    while time.monotonic() - seen < 2.5:
        assert time.monotonic() < ends, "verdicts of the pack before, for a minute"
        statuses = rest.dry("POST", PODS, coloured(right)).status, rest.dry("POST", PODS, coloured(wrong)).status
        if statuses != (403, 201):
            seen = time.monotonic()
    return seen


def test_a_broken_pack_is_refused_with_every_mistake_and_changes_nothing(
    fleet: Fleet, admin: Kubectl, loaded: Load
) -> None:
    broken = acme("green")
    broken["spec"]["rules"][0]["check"] = "requests-equal-limit"
    broken["spec"]["rules"][1]["expression"] = "object.metadata.("
    said = admin.apply(broken).refused()
    assert "did you mean requests-equal-limits?" in said
    assert "spec.rules[1].expression" in said
    assert not refused(admin, coloured("green"))


def test_one_that_was_applied_while_nobody_looked_changes_nothing_and_its_status_says_why(
    fleet: Fleet, admin: Kubectl, loaded: Load
) -> None:
    with unlooked(admin):
        assert "requests-equal-limits" in standing(admin)
        assert not refused(admin, coloured("green"))
    assert refused(admin, coloured("red"))


@contextmanager
def unlooked(admin: Kubectl) -> Iterator[None]:
    """Keep packs with mistakes in the cluster, put there while nobody looked at packs; then mend what was done."""
    kind, name = "validatingwebhookconfiguration", "plimsoll"
    own = admin.within(installation.NAMESPACE)
    broken = acme("green")
    broken["spec"]["rules"][0]["check"] = "requests-equal-limit"
    labelled = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more", "labels": LABEL}, "data": WRONG}
    admin("annotate", kind, name, "plimsoll.dev/paused=true").must()
    hooks = admin.get(f"{kind}/{name}")["webhooks"]
    entry = [hook["name"] for hook in hooks].index("packs.plimsoll.dev")
    path = f"/webhooks/{entry}/rules"
    admin.patch(f"{kind}/{name}", [{"op": "remove", "path": path}], "json").must()
    try:
        eventually(lambda: admin.apply(broken).code == 0, what="nobody to look at packs")
        own.apply(labelled).must()
        uid = own.get("configmap/more")["metadata"]["uid"]
        eventually(lambda: "False" in standing(admin), what="the status")
        # a ConfigMap that is gone before its Event is written gets none
        eventually(lambda: uid in [each["involvedObject"].get("uid") for each in own.all("events")], what="its Event")
        yield
    finally:
        admin.patch(f"{kind}/{name}", [{"op": "add", "path": path, "value": hooks[entry]["rules"]}], "json").must()
        admin("annotate", kind, name, "plimsoll.dev/paused-").must()
        own("delete", "configmap/more").must()
        admin.apply(acme("red")).must()
    eventually(lambda: "True" in standing(admin), what="the status of the mended pack")


def standing(admin: Kubectl) -> str:
    """Return the condition `Loaded` of the pack, as text."""
    conditions: list[dict[str, Any]] = admin.get("rulepack/acme").get("status", {}).get("conditions", [])
    return " ".join(f"{each['status']} {each.get('message', '')}" for each in conditions if each["type"] == "Loaded")


def test_every_right_that_the_chart_gives_is_used_and_none_is_missing(fleet: Fleet, admin: Kubectl) -> None:
    objects = installation.rendered(fleet.directory, installation.VALUES)
    everything = packs.pack("everything", *EVERYTHING, allowNamespaceMode=["dry-run"])
    admin.apply(everything).must()  # without it, nobody looks at owners and neighbours
    admin.apply(packs.pack("orphan", extends="nobody")).refused()  # is it stored, though not in force?
    eventually(lambda: refused(admin, workloads.pod("zzz-1")), what="the pack in force")
    rights = installation.granted(objects)

    def unused() -> set[installation.Right]:
        seen = installation.asked(fleet.plane)
        return {right for right in rights if not any(installation.uses(right, event) for event in seen)}

    direct(fleet.replicas[0])
    labelled = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trial", "labels": MODE}}
    with Rest(fleet.plane, "rights") as rest:

        def unseen() -> set[installation.Right]:
            for path, obj in asking():
                rest.dry("POST", path, obj)
            admin.create(labelled, options=DRY).must()
            return {right for right in unused() if right[2] != "events"}

        # again and again: the API server sends autoscalers, budgets and namespaces a moment after the pack is in force
        until_none(unseen, 30, "rights to look around that are not used")
    owned = {**BAD, "metadata": {"name": "owned", "ownerReferences": [owner("apps/v1", "ReplicaSet")]}}
    shop = admin.within("shop")
    shop.create(owned).refused()
    eventually(lambda: shop.all("events"), what="the Event of a denial")
    for _ in range(9):  # more of the same, which the Event that is there tells, a minute later
        shop.create(owned).refused()
    with unlooked(admin):
        pass
    until_none(unused, 90, "rights that are not used")
    admin("delete", "rulepack/everything").must()
    seen = installation.asked(fleet.plane)
    missing = {(each["verb"], each["requestURI"]) for each in seen if each["responseStatus"]["code"] == 403}
    assert missing == set()


MODE = {"plimsoll.dev/mode": "dry-run"}
EVERYTHING: list[Object] = [
    {"name": "named", "match": {"names": ["zzz-*"]}, "expression": "false", "message": "no zzz", "action": "deny"},
    *(
        {"name": check, "check": check, "action": "warn"}
        for check in ("autoscaling", "disruption-budget", "no-local-state", "progressive-delivery")
    ),
]
"""Rules that look at owners, and at all that may stand beside an object."""
OWNERS = {
    "v1": ["ReplicationController"],
    "apps/v1": ["ReplicaSet", "StatefulSet", "DaemonSet", "Deployment"],
    "batch/v1": ["Job", "CronJob"],
    "argoproj.io/v1alpha1": ["Rollout"],
    "apps.kruise.io/v1alpha1": ["CloneSet", "BroadcastJob", "AdvancedCronJob", "DaemonSet"],
    "apps.kruise.io/v1beta1": ["StatefulSet"],
    "jobset.x-k8s.io/v1alpha2": ["JobSet"],
    "batch.volcano.sh/v1alpha1": ["Job"],
}


def owner(api: str, kind: str) -> Object:
    """Return the reference to a controller."""
    uid = "00000000-0000-0000-0000-000000000001"
    return {"apiVersion": api, "kind": kind, "name": f"some-{kind.lower()}", "uid": uid, "controller": True}


def asking() -> Iterator[tuple[str, Object]]:
    """Yield path and object of what makes Plimsoll look around."""
    for api, kinds in OWNERS.items():
        for kind in kinds:
            yield PODS, workloads.pod(f"of-{kind.lower()}", ownerReferences=[owner(api, kind)])
            scaler = {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": f"of-{kind.lower()}"},
                "spec": {
                    "maxReplicas": 3,
                    "scaleTargetRef": {"apiVersion": api, "kind": kind, "name": "some"},
                },
            }
            yield "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers", scaler
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    mount = [{"name": "data", "mountPath": "/data"}]
    spec = workloads.pod_spec(workloads.container(volumeMounts=mount), volumes=[claim])
    yield "/apis/apps/v1/namespaces/shop/deployments", workloads.deployment(spec=spec, replicas=2)
    budget = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    yield (
        "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": budget},
    )


def direct(replica: Replica) -> None:
    """Show a replica a Pod of a namespace that its watch has not told of, as right after the namespace was made."""
    request = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "nowhere",
        "name": "good",
        "userInfo": {"username": "somebody"},
        "object": GOOD,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = f"https://{replica.host}:{replica.port}/validate"
    asked = urllib.request.Request(address, json.dumps(review).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10, context=context) as answer:
        assert json.load(answer)["response"]["allowed"]
