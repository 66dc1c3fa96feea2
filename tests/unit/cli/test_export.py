"""`plimsoll export vap`: what it writes, what it leaves out and why, and its exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.checks import CHECKS
from webhook.checks.spoken import Unspoken, globbed, literal
from webhook.cli.vap.text import since, translated
from webhook.model.glob import compile_globs


@pytest.fixture
def export(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    """Export a pack of one rule; what is given replaces or adds keys of the rule, `spec` those of the pack."""

    def run(*argv: str, spec: dict[str, Any] | None = None, **rule: Any) -> Any:
        base = {"name": "one", "expression": "!has(pod.spec.hostNetwork)", "action": "audit", **rule}
        if "when" in rule or "check" in rule:
            del base["expression"]
        content = {"rules": [base], "match": {"kinds": ["Deployment"]}, **(spec or {})}
        document = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "acme"}, "spec": content}
        Path("pack.yaml").write_text(yaml.safe_dump(document))
        return plimsoll("export", "vap", "--policies", "pack.yaml", *argv)

    return run


def documents(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


def test_a_rule_becomes_a_policy_and_its_binding(export: Callable[..., Any]) -> None:
    ran = export()

    policy, binding = documents(ran.out)
    assert (ran.status, ran.err) == (0, "1 of 1 rule exported, as 1 policy\n")
    assert policy["kind"] == "ValidatingAdmissionPolicy"
    assert policy["spec"]["validations"][0]["expression"] == "!has(variables.pod.spec.hostNetwork)"
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Audit"]}


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"match": {"names": ["web"]}}, "controllers"),
        ({"match": {"images": ["registry.example/"]}}, "normalized"),
        ({"expression": "math.greatest(1, 2) == 2"}, "math.*"),
        ({"expression": "cel.bind(a, 1, a == 1)"}, "cel.bind"),
        ({"expression": "object.spec.replicas > 1"}, "Scale"),
        ({"action": "deny"}, "--existing deny"),
        ({"action": "warn", "onError": "deny"}, "its errors are to deny"),
        (
            {"match": {"matchConditions": [{"name": "a", "expression": "has(namespaceObject.metadata)"}]}},
            "namespaceObject",
        ),
        ({"check": "image-digest", "params": {"images": ["*:1.*"]}}, "`images` has '*:1.*'"),
        ({"check": "job-cleanup"}, "without `schedule` in `judge`"),
        ({"check": "log-format", "params": {"formats": {"datadog": ["java"]}}}, "JSON inside of a text"),
        ({"check": "workload-class", "params": {"label": "pod-template-hash"}}, "controllers write"),
        ({"check": "dedicated-nodes", "match": {"containers": ["app-*"]}}, "leaves some out"),
        ({"check": "approved-image", "params": {"repositories": ["*.example"]}}, "`repositories` has '*.example'"),
        ({"check": "no-host-path", "params": {"allow": [{"prefix": "/srv"}]}}, "`allow`"),
    ],
)
def test_what_a_policy_cannot_say_is_left_out_with_the_reason(
    export: Callable[..., Any], rule: dict[str, Any], why: str
) -> None:
    ran = export("--strict", **rule)

    assert documents(ran.out) == []
    assert ran.status == 1
    assert why in ran.err
    assert ran.err.splitlines()[0].startswith("not exported: acme/one: ")
    assert f"# {ran.err.splitlines()[0]}" in ran.out


def test_existing_deny_exports_what_looks_at_the_old_object(export: Callable[..., Any]) -> None:
    ran = export("--existing", "deny", action="deny")

    assert documents(ran.out)[1]["spec"]["validationActions"] == ["Deny", "Audit"]


@pytest.mark.parametrize(("operations", "carried"), [(["CREATE", "UPDATE"], False), (["CREATE"], True)])
def test_selectors_of_pack_and_rule_together_are_carried_where_labels_cannot_change(
    export: Callable[..., Any], operations: list[str], carried: bool
) -> None:
    web, team = ({"objectSelector": {"matchLabels": labels}} for labels in ({"tier": "web"}, {"team": "a"}))
    told = export(match={**web, "operations": operations}, spec={"match": team}).err
    assert ("both have an objectSelector" in told) is not carried


@pytest.mark.parametrize(
    ("name", "spec", "why"),
    [
        ("names", {"names": ["web"]}, "controllers make"),
        ("containers", {"containers": ["web"]}, "single containers"),
    ],
)
def test_exemptions_of_less_than_a_whole_object_are_not_carried(
    export: Callable[..., Any], name: str, spec: dict[str, Any], why: str
) -> None:
    entry = {"rules": ["one"], "match": spec, "reason": "r", "owner": "o", "expires": "2027-01-01"}

    assert why in export(spec={"exemptions": [entry]}).err


def test_an_exemption_ends_with_the_day_and_the_policy_says_so(export: Callable[..., Any]) -> None:
    entry = {"rules": ["one"], "match": {"namespaces": ["a"]}, "reason": "r", "owner": "o", "expires": "2027-01-01"}

    before = export(spec={"exemptions": [entry]})
    after = export("--date", "2027-01-02", spec={"exemptions": [entry]})

    assert documents(before.out)[0]["metadata"]["annotations"]["plimsoll.dev/expires"] == "2027-01-01"
    assert "export again after it" in before.err
    assert "not-exempt" not in after.out


def test_a_rule_that_is_to_deny_later_warns_and_says_from_when(export: Callable[..., Any]) -> None:
    ran = export(action="deny", existing="deny", enforceFrom="2027-01-01")

    assert documents(ran.out)[1]["spec"]["validationActions"] == ["Warn", "Audit"]
    assert "export again on that day" in ran.err


def test_a_namespace_that_may_ask_for_dry_run_has_a_binding_of_its_own(export: Callable[..., Any]) -> None:
    ran = export(action="warn", spec={"allowNamespaceMode": ["dry-run"]})

    _, all_others, asking = documents(ran.out)
    where = [one["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0] for one in (all_others, asking)]
    assert [clause["operator"] for clause in where] == ["NotIn", "In"]
    assert (all_others["spec"]["validationActions"], asking["spec"]["validationActions"]) == (
        ["Warn", "Audit"],
        ["Audit"],
    )


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ([{"op": "add", "path": "/spec/containers/*/stdin", "value": False}], "lists"),
        ([{"op": "add", "path": "/spec/hostname", "valueExpression": "'a'"}], "valueExpression"),
        (
            [{"op": "add", "path": "/spec/a/b", "value": 1}, {"op": "add", "path": "/spec/a/c", "value": 1}],
            "below one field",
        ),
    ],
)
def test_a_patch_that_no_policy_makes_leaves_the_validation(
    export: Callable[..., Any], patch: list[dict[str, Any]], why: str
) -> None:
    ran = export(action="warn", when="has(pod.spec.hostNetwork)", patch=patch)

    assert why in ran.err
    assert {one["kind"] for one in documents(ran.out)} == {
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }


CLASS = {"check": "workload-class", "action": "warn", "fix": True}
BOTH = {"ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"}


def policies(text: str) -> set[str]:
    return {one["kind"] for one in documents(text) if not one["kind"].endswith("Binding")}


def test_the_fix_of_a_check_makes_missing_parents_and_then_adds(export: Callable[..., Any]) -> None:
    ran = export(**CLASS)

    mending = next(one for one in documents(ran.out) if one["kind"] == "MutatingAdmissionPolicy")
    text = mending["spec"]["mutations"][0]["jsonPatch"]["expression"]
    anti = "/spec/template/spec/affinity/podAntiAffinity"
    preferred = f"{anti}/preferredDuringSchedulingIgnoredDuringExecution"
    steps = [f"path: '{anti}', value: {{}}", f"path: '{preferred}', value: []", f"path: '{preferred}/-', value: "]
    assert policies(ran.out) == BOTH
    assert sorted(steps, key=text.index) == steps
    assert mending["spec"]["failurePolicy"] == "Ignore"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"check": "job-cleanup", "params": {"judge": ["ttl"]}, "match": {"kinds": ["Job"]}}, "beside the pods"),
        ({"check": "image-digest"}, "asks registries"),
        ({"check": "image-pull", "match": {"containers": ["app-*"]}}, "leaves containers out"),
    ],
)
def test_a_fix_that_no_policy_makes_leaves_the_validation(
    export: Callable[..., Any], rule: dict[str, Any], why: str
) -> None:
    ran = export(**{"action": "warn", "fix": True, **rule}, spec={"match": {}})

    assert "not its fix: " in ran.err
    assert why in ran.err
    assert policies(ran.out) == {"ValidatingAdmissionPolicy"}


def test_two_fixes_of_one_field_have_no_policy(export: Callable[..., Any]) -> None:
    rules = [{"name": name, **CLASS, "params": {"label": f"acme.example/{name}"}} for name in ("a", "b")]

    ran = export(spec={"rules": rules})

    assert "acme/b writes the same field" in ran.err
    assert "acme/a writes the same field" in ran.err
    assert policies(ran.out) == {"ValidatingAdmissionPolicy"}


def test_a_rule_on_trial_mends_nothing(export: Callable[..., Any]) -> None:
    assert policies(export(**{**CLASS, "action": "audit"}).out) == {"ValidatingAdmissionPolicy"}


def test_a_check_says_something_else_of_kinds_without_pods(export: Callable[..., Any]) -> None:
    ran = export(check="no-host-path", spec={"match": {"kinds": ["PersistentVolume", "Deployment"]}})

    found = {one["metadata"]["name"]: one for one in documents(ran.out) if "Binding" not in one["kind"]}
    assert sorted(found) == ["acme.one.objects", "acme.one.workloads"]
    assert "'local'" in found["acme.one.objects"]["spec"]["validations"][0]["expression"]
    assert "variables" not in found["acme.one.objects"]["spec"]


def test_it_writes_to_a_file_and_says_the_rest_on_stderr(export: Callable[..., Any]) -> None:
    ran = export("-o", "policies.yaml")

    assert (ran.status, ran.out) == (0, "")
    assert len(documents(Path("policies.yaml").read_text())) == 2


def test_a_file_that_cannot_be_written_is_wrong_use(export: Callable[..., Any]) -> None:
    assert export("-o", "not/there/policies.yaml").status == 2


def test_a_label_without_a_value_is_wrong_use(export: Callable[..., Any]) -> None:
    ran = export("--binding-namespace-selector", "plimsoll.dev/policies")

    assert ran.status == 2
    assert "wanted KEY=VALUE" in ran.err


def test_every_check_has_a_form_in_cel_or_a_reason() -> None:
    for module in CHECKS.values():
        assert callable(module.CEL) or (module.CEL[0].islower() and not module.CEL.endswith(".")), module.ID
        assert callable(module.CEL) or "yet" not in module.CEL.split(), module.ID


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("pod.spec == object.pod", "P.spec == object.pod"),
        ("containers.all(pod, pod.name != 'pod')", "containers.all(pod, pod.name != 'pod')"),
        ("'pod' + \"pod\" + pod.x // pod", "'pod' + \"pod\" + P.x // pod"),
        ("[1, 'a'][0] == pod.y['k']", "[dyn(1), dyn('a')][0] == P.y['k']"),
        ("{'a': 1 > 2 ? 3 : 4, 'b': pod}", "{'a': dyn(1 > 2 ? 3 : 4), 'b': dyn(P)}"),
        ("x in ['a', 'b'] && y in [a, b]", "x in ['a', 'b'] && y in [dyn(a), dyn(b)]"),
    ],
)
def test_our_words_become_those_of_the_api_server(source: str, wanted: str) -> None:
    assert translated(source, {"pod": "P"}) == wanted


def test_names_in_backquotes_are_not_kubernetes() -> None:
    with pytest.raises(Unspoken, match=r"write \['a-b'\]"):
        translated("pod.`a-b`", {})


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("it's\n\\", r"'it\'s\n\\'"),
        (["a", "b"], "['a', 'b']"),
        (["a", 1], "[dyn('a'), dyn(1)]"),
        ({"a": [True, None]}, "{'a': dyn([dyn(true), dyn(null)])}"),
        ("\x07", r"'\U00000007'"),
    ],
)
def test_values_become_literals(value: Any, wanted: str) -> None:
    assert literal(value) == wanted


@pytest.mark.parametrize(
    ("globs", "wanted"),
    [
        (["a", "*"], "true"),
        (["b", "a"], "n in ['a', 'b']"),
        (["a", "b-?*"], r"n in ['a'] || n.matches('^(?:b\\-(?s:.)(?s:.*))$')"),
        ([], "false"),
    ],
)
def test_globs_become_lists_and_expressions(globs: list[str], wanted: str) -> None:
    assert globbed("n", compile_globs(globs)) == wanted


def test_a_text_says_which_kubernetes_it_needs() -> None:
    assert [since([text]) for text in ("a.b", "ip('::1')", "[2, 1].sort()", "m.transformList(k, v, v)")] == [
        *(30, 31, 35, 33)
    ]


@pytest.mark.parametrize(
    ("check", "params", "written"),
    [
        ("approved-image", {"repositories": ["registry.example/"]}, "(?i:registry\\\\.example)"),
        ("approved-image", {"tags": {"denied": ["*-snapshot"]}}, "\\\\-snapshot)$"),
        ("image-pull", {"pullSecrets": ["registry-pull"]}, "!(s.name in ['registry-pull'])"),
        ("image-pull", {"onlyMoving": True, "allowNever": True}, "!(u.policy in ['Never'])"),
    ],
)
def test_a_check_on_images_looks_at_containers_and_image_volumes(
    export: Callable[..., Any], check: str, params: dict[str, Any], written: str
) -> None:
    policy, _ = documents(export(check=check, params=params).out)

    variables = {one["name"]: one["expression"] for one in policy["spec"]["variables"]}
    assert written in variables["bad"]
    assert "c.?image" in variables["uses"]
    assert "v.image.?reference" in variables["uses"]
    assert policy["spec"]["validations"][0]["expression"] == "variables.bad.size() == 0"
    assert policy["metadata"]["annotations"]["plimsoll.dev/needs-kubernetes"] == "1.30"
