"""`plimsoll impact`: whom a change of a pack stops, over manifests, recorded reviews and audit logs."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from webhook.cli.judge import admission
from webhook.model.decision import Decision
from webhook.model.review import parse
from webhook.observe.record import Recording, Terms

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "impact.json").read_text())
HOST_PATH = {"name": "no-host-path", "check": "no-host-path", "action": "deny", "remediation": "use a claim"}
IMAGES = {
    "name": "approved-image",
    "check": "approved-image",
    "params": {"repositories": ["registry.example/"]},
    "action": "warn",
}
BAD_VOLUME = {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]}


def pack(*rules: dict[str, Any], **spec: Any) -> str:
    head = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "acme"}}
    return yaml.safe_dump({**head, "spec": {**spec, "rules": list(rules)}}, sort_keys=False)


@pytest.fixture
def impact(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    """Compare two packs (texts; None: no pack) over manifests (objects), or over what `argv` names."""

    def run(old: str | None, new: str | None, objects: list[Any], *argv: str) -> Any:
        names = []
        for name, text in (("old.yaml", old), ("new.yaml", new)):
            if text is not None:
                Path(name).write_text(text)
            names.append("none" if text is None else name)
        given: tuple[str, ...] = ()
        if objects:
            Path("all.yaml").write_text(yaml.safe_dump_all(objects))
            given = ("--manifests", "all.yaml")
        return plimsoll("impact", *names, *given, *argv)

    return run


@pytest.fixture
def compared(impact: Callable[..., Any]) -> Callable[..., Any]:
    """The report as JSON, which keeps its schema."""

    def run(*args: Any, status: int | None = None) -> Any:
        ran = impact(*args, "-o", "json")
        assert status is None or ran.status == status, ran.err
        found = json.loads(ran.out)
        jsonschema.validate(found, SCHEMA)
        return found

    return run


Objects = Callable[..., dict[str, Any]]

# -- the verdicts ---------------------------------------------------------------------------------------------------


def test_an_object_that_only_the_new_pack_denies_is_newly_denied_with_what_is_found(
    compared: Callable[..., Any], deployment: Objects
) -> None:
    objects = [deployment("bad", pod=BAD_VOLUME), deployment("good")]
    found = compared(None, pack(HOST_PATH), objects, status=1)
    assert (found["summary"]["objects"], found["summary"]["denied"]) == (2, 1)
    (change,) = found["changes"]
    assert (change["from"], change["to"], change["change"]) == ("allow", "deny", "denied")
    assert (change["kind"], change["namespace"], change["name"]) == ("Deployment", "shop", "bad")
    (point,) = change["gained"]
    assert point == {
        "pack": "acme",
        "rule": "no-host-path",
        "effective": "deny",
        "pointer": "/spec/template/spec/volumes/0/hostPath/path",
        "container": "etc",
        "reason": "path on the node",
        "found": "hostPath /etc",
        "wanted": "a volume that is not on the node",
        "remediation": "use a claim",
    }


@pytest.mark.parametrize(
    ("old", "new", "category", "status"),
    [
        ("disabled", "warn", "warned", 0),
        ("warn", "deny", "denied", 1),
        ("deny", "warn", "allowed", 0),
        ("deny", "disabled", "allowed", 0),
        ("warn", "disabled", "relieved", 0),
        ("audit", "audit", None, 0),
        ("disabled", "audit", None, 0),
        ("deny", "deny", None, 0),
    ],
)
def test_each_change_of_a_verdict_has_its_category(
    compared: Callable[..., Any], deployment: Objects, old: str, new: str, category: str | None, status: int
) -> None:
    other = {"name": "all", "expression": "true", "message": "all", "action": "deny"}
    packs = [pack({**HOST_PATH, "action": action}, other) for action in (old, new)]
    found = compared(*packs, [deployment("bad", pod=BAD_VOLUME)], status=status)
    assert [change["change"] for change in found["changes"]] == ([category] if category else [])


def test_an_object_denied_for_another_reason_is_counted_and_not_newly_denied(
    compared: Callable[..., Any], deployment: Objects
) -> None:
    other = {**IMAGES, "action": "deny"}
    bad = deployment("bad", pod=BAD_VOLUME, image="quay.io/x/y:1")
    found = compared(pack(HOST_PATH), pack(other), [bad], status=0)
    assert (found["changes"], found["summary"]["altered"]) == ([], 1)


def test_the_same_pack_on_a_later_day_says_whom_enforce_from_stops(
    impact: Callable[..., Any], deployment: Objects
) -> None:
    text = pack(HOST_PATH, enforceFrom="2026-11-30")
    ran = impact(text, text, [deployment("bad", pod=BAD_VOLUME)], "--date", "2026-11-30")
    assert ran.status == 1
    assert ran.out.splitlines()[0] == "On 2026-11-30 this stops 1 of 1 object, of 1 of 1 owner."
    assert "warned of -> denied" in ran.out
    again = impact(text, text, [deployment("bad", pod=BAD_VOLUME)], "--date", "2026-11-29")
    assert (again.status, again.out.splitlines()[0]) == (0, "On 2026-11-29 this stops none of 1 object of 1 owner.")


def test_mode_is_that_of_the_new_pack_alone(compared: Callable[..., Any], deployment: Objects) -> None:
    text = pack(HOST_PATH, mode="dry-run")
    found = compared(text, text, [deployment("bad", pod=BAD_VOLUME)], "--mode", "enforce", status=1)
    assert (found["summary"]["denied"], found["new"]["mode"]) == (1, "enforce")


def test_exempt_findings_count_for_nothing(compared: Callable[..., Any], deployment: Objects) -> None:
    exemption = {
        "rules": ["no-host-path"],
        "match": {"names": ["bad"]},
        "reason": "r",
        "owner": "o",
        "expires": "2026-12-31",
    }
    text = pack(HOST_PATH, exemptions=[exemption])
    objects = [deployment("bad", pod=BAD_VOLUME)]
    assert compared(None, text, objects, status=0)["changes"] == []
    assert compared(text, text, objects, "--date", "2027-01-01", status=1)["summary"]["denied"] == 1


FIXED = {
    "name": "requests-equal-limits",
    "check": "requests-equal-limits",
    "params": {"resources": ["memory"]},
    "action": "deny",
    "fix": True,
}
UNEQUAL = {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}}


def test_what_the_fixes_correct_is_not_stopped_but_where_there_are_none(
    compared: Callable[..., Any], deployment: Objects
) -> None:
    containers = [{"name": "web", "image": "registry.example/a:1", "resources": UNEQUAL}]
    objects = [deployment("bad", pod={"containers": containers})]
    found = compared(None, pack(FIXED), objects, status=0)
    assert (found["summary"]["denied"], found["summary"]["corrected"]) == (0, 1)
    plain = compared(None, pack(FIXED), objects, "--without-fixes", status=1)
    assert (plain["summary"]["denied"], plain["summary"]["corrected"]) == (1, 0)


@pytest.mark.parametrize(("existing", "updatable"), [("allow", True), ("deny", False)])
def test_it_says_whether_updates_of_what_is_there_go_on(
    compared: Callable[..., Any], deployment: Objects, existing: str, updatable: bool
) -> None:
    found = compared(None, pack({**HOST_PATH, "existing": existing}), [deployment("bad", pod=BAD_VOLUME)])
    assert found["changes"][0]["updatable"] is updatable
    assert found["summary"]["updatable"] == int(updatable)


def test_a_rule_that_lacks_a_fact_is_told_and_stops_nobody(compared: Callable[..., Any], deployment: Objects) -> None:
    rule = {**HOST_PATH, "onUnknown": "deny", "match": {"namespaceSelector": {"matchLabels": {"tier": "prod"}}}}
    bad = deployment("bad", pod=BAD_VOLUME)
    found = compared(None, pack(rule), [bad], status=0)
    assert found["changes"] == []
    assert [(each["rule"], each["objects"]) for each in found["undecided"]] == [("acme/no-host-path", 1)]
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tier": "prod"}}}
    assert compared(None, pack(rule), [space, bad], status=1)["summary"]["denied"] == 1


def test_a_rule_that_fails_counts_as_it_does_in_the_server(compared: Callable[..., Any], deployment: Objects) -> None:
    rule = {"name": "cel", "expression": "object.spec.nothing == 1", "message": "m", "action": "deny"}
    found = compared(None, pack(rule), [deployment()], status=1)
    (point,) = found["changes"][0]["gained"]
    assert point["reason"].startswith("the rule failed: ")
    assert found["changes"][0]["updatable"] is False


# -- whose it is ----------------------------------------------------------------------------------------------------


def test_an_owner_is_named_by_label_annotation_template_or_namespace(
    compared: Callable[..., Any], deployment: Objects
) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "shop-team"}}}
    objects = [
        space,
        deployment("a", pod=BAD_VOLUME, metadata={"labels": {"team": "x", "app.kubernetes.io/part-of": "checkout"}}),
        deployment("b", pod=BAD_VOLUME, metadata={"annotations": {"plimsoll.dev/owner": "#payments"}}),
        deployment("c", pod=BAD_VOLUME, template={"labels": {"team": "search"}}),
        deployment("d", pod=BAD_VOLUME),
        deployment("e", pod=BAD_VOLUME, metadata={"namespace": "dark"}),
    ]
    found = compared(None, pack(HOST_PATH), objects)
    assert {change["name"]: (change["owner"]["name"], change["owner"]["by"]) for change in found["changes"]} == {
        "a": ("checkout", "app.kubernetes.io/part-of"),
        "b": ("#payments", "plimsoll.dev/owner"),
        "c": ("search", "team"),
        "d": ("shop-team", "namespace shop, team"),
        "e": ("Deployment dark/e", "the object itself"),
    }


def test_an_owner_label_of_ones_own_replaces_the_usual_ones(compared: Callable[..., Any], deployment: Objects) -> None:
    meta = {"labels": {"team": "x", "acme.example/squad": "blue"}}
    found = compared(
        None, pack(HOST_PATH), [deployment(pod=BAD_VOLUME, metadata=meta)], "--owner-label", "acme.example/squad"
    )
    assert found["owners"] == [
        {
            "name": "blue",
            "by": "acme.example/squad",
            "objects": 1,
            "denied": 1,
            "warned": 0,
            "allowed": 0,
            "relieved": 0,
        }
    ]


def controlled(obj: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "1", "controller": True}
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [reference]}}


def test_what_does_as_its_controller_does_is_counted_with_it(
    compared: Callable[..., Any], deployment: Objects, pod: Objects
) -> None:
    one = pod("web-1-x", spec=BAD_VOLUME)
    objects = [
        deployment("web", pod=BAD_VOLUME, metadata={"labels": {"team": "shop"}}),
        controlled(deployment("web-1", pod=BAD_VOLUME, kind="ReplicaSet"), "Deployment", "web"),
        controlled(one, "ReplicaSet", "web-1"),
        controlled(pod("fine-1"), "ReplicaSet", "web-1"),
    ]
    found = compared(None, pack(HOST_PATH), objects)
    assert [change["name"] for change in found["changes"]] == ["web"]
    assert (found["summary"]["objects"], found["summary"]["controlled"]) == (1, 3)
    assert found["changes"][0]["followers"] == 2


def test_a_pod_with_more_than_its_controller_shows_itself_and_is_its_controllers(
    compared: Callable[..., Any], deployment: Objects, pod: Objects
) -> None:
    """A sidecar that somebody injects is in the Pod alone, and the Pod is refused for it."""
    objects = [
        deployment("web", metadata={"labels": {"team": "shop"}}),
        controlled(deployment("web-1", kind="ReplicaSet"), "Deployment", "web"),
        controlled(pod("web-1-x", spec=BAD_VOLUME), "ReplicaSet", "web-1"),
        controlled(pod("other-x", spec=BAD_VOLUME), "ReplicaSet", "other"),
    ]
    found = compared(None, pack(HOST_PATH), objects)
    assert [(change["name"], change["owner"]) for change in found["changes"]] == [
        ("other-x", {"name": "ReplicaSet shop/other", "by": "controller"}),
        ("web-1-x", {"name": "shop", "by": "team"}),
    ]


def test_those_who_are_stopped_most_come_first(compared: Callable[..., Any], deployment: Objects) -> None:
    def owned(team: str, number: int, **more: Any) -> dict[str, Any]:
        meta = {"labels": {"team": team}, "namespace": f"{team}-ns"}
        return deployment(f"{team}-{number}", metadata=meta, **more)

    objects = [owned("a", 1, pod=BAD_VOLUME), *(owned("b", n, pod=BAD_VOLUME) for n in range(3))]
    objects += [owned("c", n, image="quay.io/x/y:1") for n in range(5)]
    found = compared(None, pack(HOST_PATH, IMAGES), objects)
    assert [(who["name"], who["denied"], who["warned"]) for who in found["owners"]] == [
        ("b", 3, 0),
        ("a", 1, 0),
        ("c", 0, 5),
    ]
    assert [space["name"] for space in found["namespaces"]] == ["b-ns", "a-ns", "c-ns"]
    assert [(rule["rule"], rule["denied"], rule["warned"]) for rule in found["rules"]] == [
        ("acme/no-host-path", 4, 0),
        ("acme/approved-image", 0, 5),
    ]
    assert found["summary"]["stoppedOwners"] == 2


# -- the text and the page ------------------------------------------------------------------------------------------


def test_the_text_says_all_of_it(impact: Callable[..., Any], deployment: Objects) -> None:
    objects = [deployment("bad", pod=BAD_VOLUME, metadata={"labels": {"team": "shop"}}), deployment("good")]
    ran = impact(pack(IMAGES), pack(HOST_PATH, IMAGES), [*objects, {"apiVersion": "v1", "kind": "Endpoints"}, {"a": 1}])
    assert ran.out == (
        "This stops 1 of 2 objects, of 1 of 2 owners.\n"
        "old.yaml on 2026-11-23 -> new.yaml on 2026-11-23\n"
        "1 newly denied, 0 newly warned of, 0 let in again, 0 no longer warned of\n"
        "Of these, 1 may go on being updated where they are there already (existing: allow): they are "
        "stopped when they are made anew.\n"
        "\n"
        "by owner          denied    warned    let in  relieved\n"
        "shop (team)            1         -         -         -\n"
        "\n"
        "by namespace    denied    warned    let in  relieved\n"
        "shop                 1         -         -         -\n"
        "\n"
        "by rule                 denied    warned\n"
        "acme/no-host-path            1         -\n"
        "\n"
        "newly denied (1)\n"
        "shop (team)\n"
        "  Deployment shop/bad: let in -> denied (all.yaml:1)\n"
        "    + deny: acme/no-host-path: path on the node (etc)\n"
        "      at:     /spec/template/spec/volumes/0/hostPath/path\n"
        "      found:  hostPath /etc\n"
        "      wanted: a volume that is not on the node\n"
        "      do:     use a claim\n"
        "\n"
        "not judged\n"
        "  documents that are no Kubernetes objects: 1\n"
        "  objects that no rule concerns: 1\n"
    )


class Page(HTMLParser):
    """Reads a page: every element is closed in its order, and what it loads is noted."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.heads: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [(name, value) for name, value in attrs if name in ("src", "href", "onclick", "onload", "style")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)
        if self.open and self.open[-1] == "h1":
            self.heads.append(data)
        if self.open and self.open[-1] == "td":
            self.rows[-1].append(data)


def test_the_tables_of_the_page_have_the_figures_of_the_json(impact: Callable[..., Any], deployment: Objects) -> None:
    objects = [deployment("bad", pod=BAD_VOLUME), deployment("worse", namespace="other", pod=BAD_VOLUME)]
    given = (None, pack(HOST_PATH, IMAGES), [*objects, deployment("good")])
    page, found = Page(impact(*given, "-o", "html").out), json.loads(impact(*given, "-o", "json").out)
    changes = ("denied", "warned", "allowed", "relieved")
    wanted = [[f"{one['name']} ({one['by']})", *(str(one[name]) for name in changes)] for one in found["owners"]]
    wanted += [[one["name"], *(str(one[name]) for name in changes)] for one in found["namespaces"]]
    wanted += [[one["rule"], str(one["denied"]), str(one["warned"])] for one in found["rules"]]
    assert len(found["owners"]) > 1
    assert [row for row in page.rows if row] == wanted


NASTY = "<script>alert(1)</script>\"'&\x1b[31m"


def test_the_page_is_whole_loads_nothing_and_escapes_what_objects_say(
    impact: Callable[..., Any], deployment: Objects
) -> None:
    volumes = {"volumes": [{"name": "v", "hostPath": {"path": f"/{NASTY}"}}]}
    meta = {"labels": {"team": NASTY}}
    ran = impact(None, pack(HOST_PATH), [deployment(NASTY, pod=volumes, metadata=meta), deployment("b")], "-o", "html")
    assert ran.status == 1
    assert ran.out.startswith("<!DOCTYPE html>\n")
    page = Page(ran.out)
    assert (page.open, page.links) == ([], [])
    assert page.heads == ["This stops 1 of 2 objects, of 1 of 2 owners."]
    assert ran.out.count("<script>") == 1
    assert "\x1b" not in ran.out
    assert any("<script>alert(1)</script>" in text for text in page.texts)
    assert "http" not in ran.out.replace("http-equiv", "")
    assert "default-src &#x27;none&#x27;" in ran.out
    for words in ("By owner", "By namespace", "By rule", "Newly denied (1)", "acme/no-host-path", "use a claim"):
        assert any(words in text for text in page.texts), words
    assert "prefers-color-scheme: dark" in ran.out
    assert "@media print" in ran.out


def test_nothing_but_the_pages_own_style_and_script_counts(impact: Callable[..., Any], deployment: Objects) -> None:
    page = impact(None, pack(HOST_PATH), [deployment("bad", pod=BAD_VOLUME)], "-o", "html").out
    policy = html.unescape(page.partition('Content-Security-Policy" content="')[2].partition('"')[0])
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    for tag in ("style", "script"):
        text = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert parts[f"{tag}-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize("form", ["text", "html"])
def test_a_report_without_a_change_is_whole(impact: Callable[..., Any], deployment: Objects, form: str) -> None:
    ran = impact(pack(HOST_PATH), pack(HOST_PATH), [deployment()], "-o", form)
    assert ran.status == 0
    assert "This stops none of 1 object of 1 owner." in ran.out
    if form == "html":
        assert Page(ran.out).open == []


# -- wrong use ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "names none; give --manifests, --reviews, --audit-log or --cluster"),
        (("--manifests", "a.yaml", "--reviews", "x"), "an object in two bodies would count twice"),
        (("--manifests", "missing.yaml"), "missing.yaml: cannot be read"),
        (("--reviews", "missing"), "missing: cannot be read"),
        (("--audit-log", "missing"), "missing: cannot be read"),
        (("--date", "monday"), "wanted YYYY-MM-DD"),
    ],
)
def test_wrong_use_is_2_with_a_sentence(impact: Callable[..., Any], argv: tuple[str, ...], words: str) -> None:
    ran = impact(None, pack(HOST_PATH), [], *argv)
    assert ran.status == 2
    assert words in ran.err


def test_a_body_without_an_object_is_no_answer(impact: Callable[..., Any]) -> None:
    ran = impact(None, pack(HOST_PATH), [{"a": 1}])
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == ("the body of objects: no object is left to judge; documents that are no Kubernetes objects: 1\n")


def test_a_body_that_cannot_be_read_is_no_answer(impact: Callable[..., Any]) -> None:
    ran = impact(None, pack(HOST_PATH), [], "--manifests", "missing.yaml")
    assert (ran.status, ran.out) == (2, "")  # and not that this stops none of 0 objects


def test_a_bad_pack_is_2_with_its_mistakes(impact: Callable[..., Any], deployment: Objects) -> None:
    ran = impact(None, pack({**HOST_PATH, "action": "dney"}), [deployment()])
    assert ran.status == 2
    assert "new.yaml:" in ran.err


def test_a_file_that_cannot_be_read_is_2_and_the_rest_is_judged(
    impact: Callable[..., Any], deployment: Objects
) -> None:
    Path("broken.yaml").write_text("a: [")
    ran = impact(None, pack(HOST_PATH), [deployment("bad", pod=BAD_VOLUME)], "--manifests", "broken.yaml")
    assert ran.status == 2
    assert "broken.yaml:" in ran.err
    assert "This stops 1 of 1 object" in ran.out


def test_many_objects_are_judged_by_several_processes_alike(impact: Callable[..., Any], deployment: Objects) -> None:
    objects = [deployment(f"web-{n}", pod=BAD_VOLUME if n % 3 else {}) for n in range(100)]
    one = impact(None, pack(HOST_PATH), objects, "-o", "json", "-j", "1")
    many = impact(None, pack(HOST_PATH), objects, "-o", "json", "-j", "2")
    assert json.loads(one.out)["summary"]["denied"] == 66
    assert one == many


# -- recorded reviews -----------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., None]:
    """Record reviews as the server does, into the directory `reviews`."""

    def make(*documents: dict[str, Any]) -> None:
        counted: list[str] = []
        times = iter(range(1000))
        made = Recording(
            tmp_path / "reviews",
            Terms(),
            lambda: datetime(2026, 11, 23, 12, 0, next(times) // 2, tzinfo=UTC),
            counted.append,
        )
        for document in documents:
            made.record("validate", parse(document), Decision(), 0.0)
        while len(counted) < len(documents):
            pass

    return make


def test_recorded_reviews_are_judged_as_they_were_asked(
    compared: Callable[..., Any], recorded: Callable[..., None], deployment: Objects
) -> None:
    bad, good = deployment("web", pod=BAD_VOLUME), deployment("web")
    excluded = pack(HOST_PATH, match={"excludeUsers": ["robot"]})
    recorded(
        admission(bad, "shop", "CREATE"),
        admission(deployment("old", pod=BAD_VOLUME), "shop", "UPDATE", oldObject=deployment("old", pod=BAD_VOLUME)),
        admission(deployment("bot", pod=BAD_VOLUME), "shop", "CREATE", userInfo={"username": "robot", "groups": []}),
        admission(good, "shop", "UPDATE", oldObject=bad),
        admission(deployment("new", pod=BAD_VOLUME), "shop", "UPDATE", oldObject=deployment("new")),
    )
    found = compared(None, excluded, [], "--reviews", "reviews", status=1)
    assert {change["name"]: change["to"] for change in found["changes"]} == {"new": "deny"}
    assert {each["what"]: each["count"] for each in found["left"]} == {
        "requests about an object that was sent again later": 1
    }
    assert found["changes"][0]["source"].startswith("reviews/reviews-")


def test_an_update_of_an_old_violator_is_what_the_server_says_of_it(
    compared: Callable[..., Any], recorded: Callable[..., None], deployment: Objects
) -> None:
    more = deployment("old", pod=BAD_VOLUME, image="registry.example/shop/web:2")
    recorded(admission(more, "shop", "UPDATE", oldObject=deployment("old", pod=BAD_VOLUME)))
    found = compared(None, pack(HOST_PATH), [], "--reviews", "reviews", status=0)
    assert [change["change"] for change in found["changes"]] == ["warned"]


def test_a_bare_review_in_a_file_is_taken_too(compared: Callable[..., Any], deployment: Objects) -> None:
    Path("one").mkdir()
    Path("one/review.json").write_text(json.dumps(admission(deployment(pod=BAD_VOLUME), "shop", "CREATE"), indent=1))
    Path("one/dry.json").write_text(json.dumps(admission(deployment("x"), "shop", "CREATE", dryRun=True)))
    Path("one/gone.json").write_text(json.dumps(admission(deployment("y"), "shop", "DELETE", object=None)))
    found = compared(None, pack(HOST_PATH), [], "--reviews", "one", status=1)
    assert found["summary"]["denied"] == 1
    assert {each["what"]: each["count"] for each in found["left"]} == {
        "dry runs": 1,
        "requests that are not judged (other operations and subresources)": 1,
    }


def test_a_line_that_is_no_review_is_told_with_its_number(
    impact: Callable[..., Any], recorded: Callable[..., None], deployment: Objects
) -> None:
    recorded(admission(deployment(), "shop", "CREATE"))
    (file,) = Path("reviews").iterdir()
    with file.open("a") as opened:
        opened.write('[]\n{"half": ')
    ran = impact(None, pack(HOST_PATH), [], "--reviews", "reviews")
    assert ran.status == 2
    assert [line.partition(".jsonl")[2].partition(";")[0] for line in ran.err.splitlines()] == [
        ":2: this line is a JSON array, wanted an object",
        ":3: this line is not JSON: unexpected end of data: line 1 column 10 (char 9)",
    ]


# -- audit logs -----------------------------------------------------------------------------------------------------


def event(obj: dict[str, Any] | None, verb: str = "create", **more: Any) -> dict[str, Any]:
    """An event as kube-apiserver 1.37 writes it at level Request (RequestResponse: with `responseObject`)."""
    meta = (obj or {}).get("metadata", {})
    ref = {
        "resource": "deployments",
        "namespace": "shop",
        "name": meta.get("name"),
        "apiGroup": "apps",
        "apiVersion": "v1",
    }
    made = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request",
        "auditID": "7b0d1bd6-0e4d-4b3a-9f55-0d1b2a3c4d5e",
        "stage": "ResponseComplete",
        "requestURI": "/apis/apps/v1/namespaces/shop/deployments?fieldManager=kubectl-create",
        "verb": verb,
        "user": {"username": "jane", "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "kubectl/v1.37.0",
        "objectRef": ref,
        "responseStatus": {"metadata": {}, "code": 201 if verb == "create" else 200},
        "requestObject": obj,
        "requestReceivedTimestamp": "2026-11-23T12:00:00.000000Z",
        "stageTimestamp": "2026-11-23T12:00:00.100000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    made.update(more)
    return made


@pytest.fixture
def log() -> Callable[..., None]:
    def write(*events: dict[str, Any]) -> None:
        Path("audit.log").write_text("".join(json.dumps(each) + "\n" for each in events))

    return write


LOG = ("--audit-log", "audit.log")


def test_what_was_asked_of_an_api_server_is_judged(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects
) -> None:
    bad = deployment("bad", pod=BAD_VOLUME)
    bad["metadata"].pop("namespace")  # as kubectl may send it
    log(event(bad), event(deployment("good")), event(deployment("late", pod=BAD_VOLUME), "update"))
    found = compared(None, pack(HOST_PATH), [], *LOG, status=1)
    assert {change["name"]: change["namespace"] for change in found["changes"]} == {"bad": "shop", "late": "shop"}
    assert [change["source"] for change in found["changes"]] == ["audit.log:1", "audit.log:3"]
    assert found["summary"]["objects"] == 3


def test_what_was_stored_counts_before_what_was_sent(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects
) -> None:
    log(event(deployment("a"), level="RequestResponse", responseObject=deployment("a", pod=BAD_VOLUME)))
    assert compared(None, pack(HOST_PATH), [], *LOG)["summary"]["denied"] == 1


def test_a_patch_is_judged_by_its_result_and_counted_where_there_is_none(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects
) -> None:
    patch = {"spec": {"template": {"spec": BAD_VOLUME}}}
    log(
        event(patch, "patch", level="RequestResponse", responseObject=deployment("a", pod=BAD_VOLUME)),
        event(patch, "patch"),
        event(deployment("b", pod=BAD_VOLUME), "patch"),  # server-side apply
    )
    found = compared(None, pack(HOST_PATH), [], *LOG)
    assert [change["name"] for change in found["changes"]] == ["a"]
    assert found["left"] == [
        {"what": "patches without their result (audit level Request has none, RequestResponse has)", "count": 2}
    ]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"stage": "RequestReceived"}, "events of another stage than ResponseComplete"),
        ({"stage": "Panic"}, "events of another stage than ResponseComplete"),
        ({"verb": "get"}, "requests of other verbs than create, update and patch"),
        ({"verb": "deletecollection"}, "requests of other verbs than create, update and patch"),
        ({"responseStatus": {"code": 403}}, "requests that failed (status 400 and above)"),
        ({"requestURI": "/apis/apps/v1/namespaces/shop/deployments?dryRun=All"}, "dry runs"),
        (
            {"objectRef": {"resource": "deployments", "namespace": "kube-system", "name": "x"}},
            "objects of kube-system and kube-node-lease, about which no webhook is asked",
        ),
        (
            {"objectRef": {"resource": "deployments", "namespace": "shop", "name": "x", "subresource": "status"}},
            "requests that are not judged (other operations and subresources)",
        ),
        (
            {"requestObject": None, "level": "Metadata"},
            "events without an object (audit level Metadata has none, Request has)",
        ),
        (
            {"requestObject": None, "annotations": {"audit.k8s.io/truncated": "true"}},
            "events that the API server cut, since they were too long",
        ),
    ],
)
def test_what_is_not_judged_is_counted_with_the_reason(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects, more: dict[str, Any], what: str
) -> None:
    log(event(deployment("good")), event(deployment("bad", pod=BAD_VOLUME), **more))
    found = compared(None, pack(HOST_PATH), [], *LOG, status=0)
    assert (found["summary"]["objects"], found["left"]) == (1, [{"what": what, "count": 1}])


def test_a_log_of_level_metadata_is_no_answer(impact: Callable[..., Any], log: Callable[..., None]) -> None:
    log(event(None, level="Metadata"))
    ran = impact(None, pack(HOST_PATH), [], *LOG)
    assert ran.status == 2
    assert "no object is left to judge; events without an object (audit level Metadata has none" in ran.err


def test_of_several_requests_about_an_object_the_last_in_time_counts(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects
) -> None:
    log(
        event(deployment("a"), "update", stageTimestamp="2026-11-23T13:00:00.000000Z"),
        event(deployment("a", pod=BAD_VOLUME), stageTimestamp="2026-11-23T12:00:00.000000Z"),
    )
    found = compared(None, pack(HOST_PATH), [], *LOG, status=0)
    assert (found["summary"]["objects"], found["summary"]["denied"]) == (1, 0)
    assert found["left"] == [{"what": "requests about an object that was sent again later", "count": 1}]


def test_the_user_is_who_is_impersonated(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects
) -> None:
    text = pack(HOST_PATH, match={"excludeUsers": ["robot"]})
    bad = deployment("bad", pod=BAD_VOLUME)
    log(event(bad, impersonatedUser={"username": "robot", "groups": ["bots"]}))
    assert compared(None, text, [], *LOG, status=0)["changes"] == []
    log(event(bad))
    assert compared(None, text, [], *LOG, status=1)["summary"]["denied"] == 1


def test_a_scale_is_judged_by_the_rules_on_replicas_of_what_is_scaled(
    compared: Callable[..., Any], log: Callable[..., None]
) -> None:
    rule = {
        "name": "few",
        "expression": "object.spec.replicas < 5",
        "message": "few",
        "action": "deny",
        "match": {"kinds": ["Deployment"]},
    }
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 9},
    }
    ref = event(scale)["objectRef"] | {"subresource": "scale", "name": "web"}
    log(event(scale, "update", objectRef=ref))
    found = compared(None, pack(rule), [], *LOG, status=1)
    assert (found["changes"][0]["kind"], found["changes"][0]["subresource"]) == ("Scale", "scale")


def test_namespaces_made_in_the_log_are_known(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects
) -> None:
    rule = {**HOST_PATH, "match": {"namespaceSelector": {"matchLabels": {"tier": "prod"}}}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tier": "prod"}}}
    ref = {"resource": "namespaces", "namespace": "shop", "name": "shop", "apiVersion": "v1"}
    log(event(space, objectRef=ref), event(deployment("bad", pod=BAD_VOLUME)))
    assert compared(None, pack(rule), [], *LOG, status=1)["summary"]["denied"] == 1


def test_lists_of_events_as_a_webhook_backend_gets_them_are_read(
    compared: Callable[..., Any], log: Callable[..., None], deployment: Objects
) -> None:
    events = [event(deployment(name, pod=BAD_VOLUME)) for name in ("a", "b")]
    items = [{key: value for key, value in each.items() if key not in ("kind", "apiVersion")} for each in events]
    log({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items})
    assert compared(None, pack(HOST_PATH), [], *LOG)["summary"]["denied"] == 2


def test_a_file_that_is_no_audit_log_is_told_and_not_for_every_line(impact: Callable[..., Any]) -> None:
    Path("audit.log").write_text('{"msg": "hello"}\n' * 1000)
    ran = impact(None, pack(HOST_PATH), [], *LOG)
    assert ran.status == 2
    lines = ran.err.splitlines()
    assert lines[0] == "audit.log:1: this is no event of an audit log; wanted kind Event of audit.k8s.io/v1"
    assert len(lines) == 22


def test_an_audit_log_may_come_from_stdin(plimsoll: Callable[..., Any], deployment: Objects) -> None:
    Path("new.yaml").write_text(pack(HOST_PATH))
    line = json.dumps(event(deployment("bad", pod=BAD_VOLUME))).encode()
    ran = plimsoll("impact", "none", "new.yaml", "--audit-log", "-", stdin=line)
    assert ran.status == 1
    assert "(stdin:1)" in ran.out
