"""Plimsoll as its chart installs it: rolled out anew, its certificate and its packs changed, all under a steady load.

Shortened here; `PLIMSOLL_TIMES=20` does each as often as is promised.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import installation, packs, workloads
from lab.kubectl import Kubectl, Object
from lab.load import Load, allowed, denied
from lab.process import eventually
from lab.replicas import Fleet
from lab.rest import Rest

TIMES = int(os.environ.get("PLIMSOLL_TIMES", "3"))
GOOD = workloads.pod("good")
BAD = workloads.pod("bad", workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL)))
COLOURS = ("red", "blue")
PODS = "/api/v1/namespaces/shop/pods"
DRY = ("--dry-run=server",)


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
    entry = next(
        number
        for number, hook in enumerate(admin.get("validatingwebhookconfiguration/plimsoll")["webhooks"])
        if hook["name"] == "packs.plimsoll.dev"
    )
    kind, name = "validatingwebhookconfiguration", "plimsoll"
    admin("annotate", kind, name, "plimsoll.dev/paused=true").must()
    kept = admin.get(f"{kind}/{name}")["webhooks"][entry]["rules"]
    path = f"/webhooks/{entry}/rules"
    admin.patch(f"{kind}/{name}", [{"op": "remove", "path": path}], "json").must()
    broken = acme("green")
    broken["spec"]["rules"][0]["check"] = "requests-equal-limit"
    try:
        eventually(lambda: admin.apply(broken).code == 0, what="nobody to look at packs")
        eventually(lambda: "False" in loaded_condition(admin), what="the status")
        assert "requests-equal-limits" in loaded_condition(admin)
        assert not refused(admin, coloured("green"))
    finally:
        admin.patch(f"{kind}/{name}", [{"op": "add", "path": path, "value": kept}], "json").must()
        admin("annotate", kind, name, "plimsoll.dev/paused-").must()
        admin.apply(acme("red")).must()
    eventually(lambda: "True" in loaded_condition(admin), what="the status of the mended pack")


def test_every_right_is_used_and_none_is_missing(fleet: Fleet, admin: Kubectl) -> None:
    objects = installation.rendered(fleet.directory, installation.VALUES)
    admin.apply(*everything()).must()
    eventually(lambda: len(admin.all("rulepacks", options=())) > 1)
    with Rest(fleet.plane, "rights") as rest:
        provoke(rest)
    rights = installation.granted(objects)
    seen = installation.asked(fleet.plane)
    unused = {right for right in rights if not any(installation.uses(right, event) for event in seen)}
    refused = {(each["verb"], each["requestURI"].partition("?")[0]) for each in seen if each["responseStatus"]["code"] == 403}
    assert refused == set()
    assert unused == set()


def loaded_condition(admin: Kubectl) -> str:
    """Return the condition `Loaded` of the pack, as text."""
    conditions: list[dict[str, Any]] = admin.get("rulepack/acme").get("status", {}).get("conditions", [])
    return " ".join(f"{each['status']} {each.get('message', '')}" for each in conditions if each["type"] == "Loaded")
