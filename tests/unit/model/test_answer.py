"""The wire answer: its limits hold for any decision, and nothing in it breaks a header, a terminal or a list."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.model import answer
from webhook.model.decision import About, Decision, Fault, Finding, Fixed, Violation
from webhook.model.patch import Conflict
from webhook.model.review import parse

HOSTILE = "a\nb\u2028c\u202ed\x1b[2Jé\x7f\u200b\u0085" + "wide界" * 3


def make_review(name="web", **more):
    request = {
        "uid": "u-1",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": name,
        "namespace": "shop",
        "operation": "CREATE",
        "object": {},
        **more,
    }
    return parse({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def about(rule="images", pack="acme", **more):
    return About(pack, "2026.11", rule, more.pop("action", "deny"), **more)


def finding(found="evil/x:1", effective="deny", container="web", number=0, reason="not approved", **more):
    violation = Violation(f"/spec/containers/{number}/image", reason, found, "registry.example/", container)
    return Finding(about(**more), violation, effective)


def denied(*findings, **more):
    return Decision(allowed=False, findings=findings, packs=("acme:2026.11",), **more)


def response(decision, endpoint="validate", **review):
    return answer.document(make_review(**review), decision, endpoint)["response"]


def test_an_answer_carries_version_kind_and_uid():
    document = orjson.loads(answer.encode(make_review(), Decision(), "validate"))
    assert document == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u-1", "allowed": True},
    }


def test_where_there_is_nothing_to_say_the_packs_that_judged_are_named_all_the_same():
    many = tuple(f"pack-{number}:1" for number in range(2000))
    assert response(Decision(packs=("a:1", "b:2"))) == {
        "uid": "u-1",
        "allowed": True,
        "auditAnnotations": {"enforced-pack": "a:1,b:2"},
    }
    assert response(Decision(packs=many))["auditAnnotations"] == answer.audit(Decision(packs=many))
    assert "status" in response(Decision(allowed=False))


def test_a_denial_is_403_forbidden_with_one_cause_for_each_finding():
    status = response(denied(finding(number=0), finding(number=1, container="b")))["status"]
    assert (status["code"], status["reason"], status["status"]) == (403, "Forbidden", "Failure")
    assert [cause["field"] for cause in status["details"]["causes"]] == [
        "/spec/containers/0/image",
        "/spec/containers/1/image",
    ]
    assert {cause["reason"] for cause in status["details"]["causes"]} == {"images"}
    assert (status["details"]["name"], status["details"]["group"], status["details"]["kind"]) == (
        "web", "apps", "deployments",
    )  # fmt: skip


def test_the_message_names_rule_container_place_found_wanted_and_what_to_do_then_contact_and_docs():
    told = about(remediation="mirror it", contact="platform team", docs="https://wiki.example/images")
    one = Finding(told, finding().violation, "deny")
    text = response(denied(one))["status"]["message"]
    assert text.startswith("Deployment shop/web does not keep the standards (1 finding):\n")
    places = [text.index(part) for part in (
        "1. images in web: not approved", "at:     /spec/containers/0/image", "found:  evil/x:1",
        "wanted: registry.example/", "do:     mirror it", "Contact: platform team (pack acme)",
        "Docs: https://wiki.example/images",
    )]  # fmt: skip
    assert places == sorted(places)


def test_findings_that_do_not_deny_and_exempt_ones_are_not_in_the_message():
    exempt = Finding(about("exempted"), finding().violation, "deny", exempt="reason")
    text = response(denied(finding(), finding(rule="warns", effective="warn"), exempt))["status"]["message"]
    assert "warns" not in text and "exempted" not in text
    assert "(1 finding)" in text


def test_a_message_is_cut_at_4_kib_with_a_count_of_the_rest_and_keeps_contact_and_docs():
    many = [finding(number=n, contact="platform team", docs="https://wiki.example") for n in range(500)]
    status = response(denied(*many))["status"]
    text = status["message"]
    assert 3000 < len(text.encode()) <= 4096
    shown = text.count("images in web")
    assert f"... and {500 - shown} more" in text
    assert "Contact: platform team" in text and "Docs: https://wiki.example" in text


def test_causes_are_cut_at_32_kib_and_the_last_counts_the_rest_findings_and_faults_alike():
    faults = tuple(Fault(about(f"broken-{n}"), "error", "no such key", "deny") for n in range(500))
    causes = response(denied(*(finding(number=n) for n in range(500)), errors=faults))["status"]["details"]["causes"]
    assert 32000 < len(orjson.dumps(causes)) <= 32768
    assert causes[-1] == {
        "reason": "leftOut",
        "message": f"... and {1000 - (len(causes) - 1)} more; `plimsoll check` on the manifest shows all",
        "field": "",
    }
    assert [cause["field"] for cause in causes[:-1]] == [f"/spec/containers/{n}/image" for n in range(len(causes) - 1)]


def test_a_hundred_ordinary_findings_have_a_cause_each():
    causes = response(denied(*(finding(number=n) for n in range(100))))["status"]["details"]["causes"]
    assert len(causes) == 100 and "leftOut" not in {cause["reason"] for cause in causes}


def test_a_place_of_a_megabyte_makes_no_denial_longer_than_its_limits():
    long = Finding(about(), Violation("/" + "x" * 2**20, "not approved", "", "", "web"), "deny")
    said = answer.encode(make_review(), denied(long, finding()), "validate")
    [cause] = orjson.loads(said)["response"]["status"]["details"]["causes"]
    assert cause["reason"] == "leftOut" and cause["message"].startswith("... and 2 more")
    assert len(said) < 10_000


def test_a_denial_with_twenty_thousand_findings_says_only_what_has_room(monkeypatch):
    said = []
    line = answer._line
    monkeypatch.setattr(answer, "_line", lambda text, most: said.append(text) or line(text, most))
    document = answer.encode(make_review(), denied(*(finding(number=n) for n in range(20_000))), "validate")
    assert len(document) < 50_000
    assert len(said) < 1000


def test_one_finding_with_a_value_of_a_megabyte_is_still_told():
    text = response(denied(finding(found="x" * 2**20, contact="platform team")))["status"]["message"]
    assert "1. images in web: not approved" in text and "found:  xxx" in text and "Contact: platform team" in text
    assert len(text.encode()) <= 4096


@pytest.mark.parametrize("wide", ["x", "é", "界", "😀"])
def test_values_of_any_script_fit(wide):
    text = response(denied(*(finding(found=wide * 5000, number=n) for n in range(3))))["status"]["message"]
    assert len(text.encode()) <= 4096
    assert "1. images in web" in text


def test_a_denial_by_an_error_or_a_missing_fact_says_so():
    fault = Fault(about("broken"), "error", f"no such key: {HOSTILE}", "deny")
    missing = Fault(about("owner"), "unknown", "timed out", "deny", "owners")
    status = response(Decision(allowed=False, errors=(fault,), unknown=(missing,)))["status"]
    assert "broken: the rule failed: no such key" in status["message"]
    assert "owner: the rule could not be decided: timed out" in status["message"]
    assert [cause["reason"] for cause in status["details"]["causes"]] == ["broken", "owner"]


def lines_of(text):
    return all(char == "\n" or char.isprintable() for char in text)


def test_no_control_bidi_or_separator_character_gets_into_message_warnings_or_causes():
    warned = finding(found=HOSTILE, effective="warn", reason=HOSTILE)
    fault = Fault(about("broken"), "error", HOSTILE, "deny")
    said = response(denied(finding(found=HOSTILE, reason=HOSTILE), warned, errors=(fault,)), name=HOSTILE)
    assert lines_of(said["status"]["message"])
    assert all(line.isprintable() for line in said["warnings"])
    assert all(cause["message"].isprintable() for cause in said["status"]["details"]["causes"])


def test_half_a_surrogate_pair_from_a_pack_breaks_no_answer():
    decision = denied(finding(reason="\ud800 wanted", found="\udfff"), finding(reason="\ud800", effective="warn"))
    assert orjson.loads(answer.encode(make_review(), decision, "validate"))["response"]["allowed"] is False


def test_a_warning_has_at_most_120_characters_and_all_together_are_well_under_4096():
    warned = [finding(found=f"{n}" + "y" * 300, effective="warn", number=n) for n in range(200)]
    said = response(Decision(findings=tuple(warned)))["warnings"]
    assert max(len(line) for line in said) == 120
    assert sum(len(line) for line in said) < 3500
    assert said[-1] == f"plimsoll: and {200 - len(said) + 1} more warnings"


def test_a_finding_that_the_object_had_before_says_so():
    before = Finding(about(), finding().violation, "warn", existing=True)
    assert " (as before): " in response(Decision(findings=(before,)))["warnings"][0]


def test_audited_and_exempt_findings_warn_nobody():
    exempt = Finding(about(), finding().violation, "warn", exempt="reason")
    assert "warnings" not in response(Decision(findings=(finding(effective="audit"), exempt)))


def test_annotations_have_keys_without_a_slash_and_the_shape_of_validation_failures():
    decision = denied(
        finding(),
        finding(rule="audited", effective="audit"),
        Finding(about("spared"), finding().violation, "deny", exempt="because"),
        errors=(Fault(about("broken"), "error", "no such key", "deny"),),
        unknown=(Fault(about("owner"), "unknown", "timed out", "warn", "owners"),),
        patched=(Fixed(about("fixed"), 2, "/spec"), Fixed(about("wished"), 1, "/spec", would=True)),
        conflicts=(Conflict("acme/two", "/spec/x", "acme/one"),),
    )
    noted = response(decision)["auditAnnotations"]
    assert not [key for key in noted if "/" in key]
    assert noted.pop("enforced-pack") == "acme:2026.11"
    lists = {key: [item.get("rule") for item in json.loads(value)] for key, value in noted.items()}
    assert lists == {
        "violations": ["images"],
        "would-violate": ["audited"],
        "exempt": ["spared"],
        "error": ["broken", "acme/two"],
        "unknown": ["owner"],
        "patched": ["fixed"],
        "would-patch": ["wished"],
    }
    [violation] = json.loads(noted["violations"])
    assert violation["policy"] == "acme" and violation["validationActions"] == ["Deny"]
    assert violation["container"] == "web" and violation["pointer"] == "/spec/containers/0/image"


def test_an_annotation_is_cut_between_items_at_10_kib_with_a_count_of_what_was_left_out():
    value = response(denied(*(finding(number=n) for n in range(500))))["auditAnnotations"]["violations"]
    items = json.loads(value)
    assert 9000 < len(value.encode()) <= 10240
    assert items[-1] == {"leftOut": 500 - (len(items) - 1)}


def test_one_finding_with_a_huge_value_is_still_annotated():
    [item] = json.loads(response(denied(finding(found="界" * 20_000)))["auditAnnotations"]["violations"])
    assert item["rule"] == "images"


def test_only_mutate_answers_with_a_patch_in_base64():
    operation = {"op": "add", "path": "/a", "value": 1}
    decision = Decision(patch=(operation,), patched=(Fixed(about(), 1, "/a"),))
    said = response(decision, "mutate")
    assert said["patchType"] == "JSONPatch" and said["patch"] == "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2EiLCJ2YWx1ZSI6MX1d"
    assert "patch" not in response(decision, "validate") and "patchType" not in response(decision, "advise")


@pytest.mark.parametrize("allowed", [True, False])
def test_a_review_that_could_not_be_judged_is_answered_with_its_uid(allowed):
    said = orjson.loads(answer.failure("u-1", "a bug", allowed))["response"]
    assert (said["uid"], said["allowed"]) == ("u-1", allowed)
    assert ("warnings" in said) is allowed and ("status" in said) is not allowed


PLAIN = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from([HOSTILE, "x" * 20_000, "", "/~1~0"])
TEXTS = PLAIN | st.just("half \ud800")  # a pack's YAML may have one; a review cannot, so no name or pointer does
FINDINGS = st.builds(
    lambda names, texts, effective, exempt, times: [
        Finding(
            About("p", "1", names[0] or "r", "deny", contact=texts[0], docs=texts[1], remediation=texts[2]),
            Violation(f"/{n}{names[1]}", texts[3], texts[4], texts[5], names[2] or None),
            effective,
            exempt,
        )
        for n in range(times)
    ],
    st.lists(PLAIN, min_size=3, max_size=3),
    st.lists(TEXTS, min_size=6, max_size=6),
    st.sampled_from(["deny", "warn", "audit"]),
    st.sampled_from([None, "because"]),
    st.sampled_from([1, 3, 150]),
)


@settings(max_examples=60)
@given(st.lists(FINDINGS, max_size=3), PLAIN)
def test_the_limits_hold_for_any_decision(groups, name):
    findings = tuple(one for group in groups for one in group)
    deny = any(one.effective == "deny" and one.exempt is None for one in findings)
    said = response(Decision(allowed=not deny, findings=findings, packs=("p:1",)), name=name)
    assert said["allowed"] is not deny
    if deny:
        assert len(said["status"]["message"].encode()) <= 4096
        assert lines_of(said["status"]["message"])
    warnings = said.get("warnings", [])
    assert all(len(line) <= 120 and line.isprintable() for line in warnings)
    assert sum(map(len, warnings)) < 4096
    for key, value in said.get("auditAnnotations", {}).items():
        assert "/" not in key and len(value.encode()) <= 10240
        assert key == "enforced-pack" or json.loads(value)
