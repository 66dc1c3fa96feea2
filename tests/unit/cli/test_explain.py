"""`plimsoll explain`: the page of a rule or a check, and the trace of a review."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from webhook import sources
from webhook.checks import CHECKS

ROOT = Path(__file__).parents[3]


def closed(schema):
    """Return a schema whose objects have the properties that it names, and no more."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    return {**found, "additionalProperties": False} if "properties" in found and "type" in found else found


PUBLISHED = json.loads((ROOT / "docs" / "schemas" / "explain.json").read_text())
SCHEMA = {**PUBLISHED, "$defs": closed(PUBLISHED["$defs"])}  # no key is printed that the published one does not know


def read(ran):
    """Return what a command printed as JSON, which keeps its schema."""
    assert (ran.status, ran.err) == (0, "")
    found = json.loads(ran.out)
    jsonschema.validate(found, SCHEMA)
    return found


PACK = """\
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  contact: platform team
  enforceFrom: 2026-12-01
  values:
    places: [{prefix: "/srv/**"}]
  match: {excludeNamespaces: [kube-system]}
  rules:
    - name: host-path
      check: no-host-path
      params: {allow: "${values.places}"}
      action: deny
      severity: high
      responsible: application
      description: A node's disk is nobody's.
      remediation: Take a claim.
      docs: https://wiki.example/host
      match: {names: ["web*"]}
    - name: few
      variables:
        - {name: count, expression: "containers.size()"}
      expression: "variables.count < 1"
      message: few containers
      action: warn
    - {name: probes, check: probes, action: disabled}
  exemptions:
    - {rules: [host-path], match: {names: [web-old]}, reason: it is old, owner: web team, expires: 2026-12-31}
    - {rules: [host-path], match: {names: [gone]}, reason: gone, owner: web team, expires: 2026-11-01}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  containers: [{name: web, image: "registry.example/web:1"}]
  volumes: [{name: node, hostPath: {path: /etc}}]
"""


@pytest.fixture(autouse=True)
def acme(tmp_path):
    (tmp_path / "acme.yaml").write_text(PACK)


@pytest.fixture
def explained(plimsoll):
    def run(*argv, stdin=b"", **options):
        return plimsoll("explain", "--policies", "acme.yaml", *argv, stdin=stdin, **options)

    return run


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_its_page_in_the_terminal(plimsoll, name):
    ran = plimsoll("explain", name, "--policies", "acme.yaml")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"{name}\n{'=' * len(name)}\n") or ran.out.startswith("acme/probes\n")
    assert all(f"\n{title}\n---" in ran.out for title in ("What it does", "Why", "Example", "Use instead", "Fix"))
    assert all(f"\n  {key}: " in ran.out for key in CHECKS[name].PARAMS["properties"])


def test_the_page_of_a_rule_says_what_its_pack_says_and_what_counts_today(explained):
    ran = explained("acme/host-path")
    text = " ".join(ran.out.split())
    for said in (
        "A node's disk is nobody's.",
        "action: deny counts today as: warn: it denies from 2026-12-01 on",
        "severity: high",
        "who has to act: application",
        "contact: platform team",
        "docs: https://wiki.example/host",
        "stands in: acme.yaml:11",
        "Take a claim.",
        'excludeNamespaces: ["kube-system"] (the pack\'s match)',
        'names: ["web*"] (the rule\'s match)',
        'allow: [{"prefix":"/srv/**"}], by values.places (acme.yaml:8)',
        "it is old (web team, through 2026-12-31; acme.yaml:29)",
        "gone (web team, is over since 2026-11-01; acme.yaml:30)",
        "Pods and PersistentVolumes stay out of the file system of the node.",
    ):  # fmt: skip
        assert said in text
    assert explained("host-path") == ran, "the pack may be left out where one rule alone has the name"


def test_the_page_of_a_rule_in_cel_has_its_text(explained):
    out = explained("few").out
    assert "variables.count < 1" in out
    assert "containers.size()" in out


def test_a_rule_that_is_disabled_has_a_page_too(explained):
    assert "action:           disabled" in explained("acme/probes").out


@pytest.mark.parametrize(
    ("mode", "today"), [("dry-run", "counts today as: audit: its pack is in dry-run"), ("enforce", "it denies from")]
)
def test_the_mode_of_the_command_line_counts(explained, mode, today):
    assert today in " ".join(explained("host-path", "--mode", mode).out.split())


def test_the_date_of_the_command_line_counts(explained):
    assert "counts today as" not in explained("host-path", "--date", "2026-12-01").out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["host-pathh"], "no rule or check is named host-pathh; did you mean host-path? wanted pack/rule"),
        (["acm/few"], "did you mean acme/few?"),
        (["no_host_path"], "did you mean no-host-path?"),
        ([], "wanted either a name, or --review with a file"),
        (["few", "--review", "x.yaml"], "wanted either a name, or --review with a file"),
        (["--review", "gone.yaml"], "gone.yaml: cannot be read: No such file or directory"),
    ],
)
def test_what_is_not_there_is_said_with_what_may_be_meant(explained, argv, said):
    ran = explained(*argv)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_of_rules_with_one_name_in_several_packs_all_are_offered(plimsoll):
    Path("two.yaml").write_text(PACK.replace("name: acme", "name: two"))
    ran = plimsoll("explain", "few", "--policies", "acme.yaml", "--policies", "two.yaml")
    assert ran.err == "plimsoll explain: 2 rules are named few; wanted one of acme/few, two/few\n"


def test_the_page_as_json_has_the_same(explained):
    said = read(explained("host-path", "-o", "json"))
    assert (said["version"], said["rule"], said["action"], said["today"]) == (1, "acme/host-path", "deny", "warn")
    assert said["parameters"] == [
        {"name": "allow", "value": [{"prefix": "/srv/**"}], "from": "values.places (acme.yaml:8)"}
    ]
    assert [one["over"] for one in said["exemptions"]] == [False, True]
    assert said["page"]["check"] == "no-host-path"


def test_a_trace_says_what_became_of_every_rule(explained):
    Path("pod.yaml").write_text(POD % ("web", "shop"))
    ran = explained("--review", "pod.yaml")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        "pod.yaml:1: Pod shop/web: CREATE by plimsoll-check\n"
        "  acme/host-path: found\n"
        "      counts as: warn instead of deny: it denies from 2026-12-01 on\n"
        "      warn:      path on the node (node) at /spec/volumes/0/hostPath/path (pod.yaml:6)\n"
        "      found:     hostPath /etc\n"
        "      wanted:    a path inside /srv/**\n"
        "  acme/few: found\n"
        "      value:     variables.count = 1\n"
        "      value:     expression = false\n"
        "      warn:      few containers at / (pod.yaml:1)\n"
        "  acme/probes: disabled: its action is disabled\n"
        "3 rules: 2 found, 1 disabled\n"
    )


def test_a_trace_names_the_exemption_with_reason_owner_day_and_clause(explained):
    ran = explained("--review", "-", stdin=(POD % ("web-old", "shop")).encode())
    assert "  acme/host-path: exempt\n" in ran.out
    covered = "by: it is old (web team, through 2026-12-31), which covers it by names (web-old)"
    assert covered in " ".join(ran.out.split())


def test_a_trace_names_the_clause_that_left_a_rule_out(explained):
    ran = explained("--review", "-", stdin=(POD % ("web", "kube-system")).encode())
    assert "acme/few: out: excludeNamespaces of the pack's match leaves it out (kube-system)\n" in ran.out


def test_every_object_of_a_file_has_its_trace(explained):
    ran = explained("--review", "-", stdin=(POD % ("web", "a") + "---\n" + POD % ("api", "b")).encode())
    assert "stdin:1: Pod a/web" in ran.out
    assert "stdin:8: Pod b/api" in ran.out
    assert "acme/host-path: out: names of the rule's match leaves it out (api)" in ran.out


def test_an_admission_review_is_traced_with_its_own_user_and_lines(explained, review, pod):
    obj = pod(
        spec={"containers": [{"name": "web", "image": "a"}], "volumes": [{"name": "n", "hostPath": {"path": "/"}}]}
    )
    asked = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": dict(review(obj).request)}
    Path("asked.json").write_text(json.dumps(asked, indent=1))
    said = read(explained("--review", "asked.json", "-o", "json"))["results"][0]
    assert (said["user"], said["operation"]) == ("jane", "CREATE")
    finding = said["rules"][0]["subjects"][0]["findings"][0]
    line = Path("asked.json").read_text().split("\n")[finding["line"] - 1]
    assert '"path": "/"' in line


def test_what_a_wrapper_carries_is_traced_thing_by_thing(explained):
    pod = POD.replace("\n", "\n     ") % ("web", "shop")
    work = "apiVersion: work.open-cluster-management.io/v1\nkind: ManifestWork\nmetadata: {name: w, namespace: c}\n"
    ran = explained("--review", "-", stdin=f"{work}spec:\n  workload:\n   manifests:\n   - {pod}".encode())
    assert "      on:        Pod web at /spec/workload/manifests/0: found\n" in ran.out
    assert "path on the node (node) at /spec/workload/manifests/0/spec/volumes/0/hostPath/path (stdin:12)" in " ".join(
        ran.out.split()
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ('{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}', "wanted admission.k8s.io/v1"),
        ('{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}', "stdin:1: request is missing"),
        ("x: 1", "-: holds neither an AdmissionReview nor a Kubernetes object"),
    ],
)
def test_what_is_no_review_is_said(explained, asked, said):
    ran = explained("--review", "-", stdin=asked.encode())
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_a_rule_of_another_endpoint_is_said_to_be_there(explained):
    ran = explained("--review", "-", "--endpoint", "advise", stdin=(POD % ("web", "shop")).encode())
    assert "acme/host-path: out: it is asked elsewhere than at /advise\n" in ran.out


def test_a_value_that_is_long_is_cut_in_text_and_whole_in_json(explained):
    text = PACK.replace('"containers.size()"', f"\"'{'x' * 500}'\"").replace("count < 1", "count == ''")
    Path("acme.yaml").write_text(text)
    stdin = (POD % ("web", "shop")).encode()
    cut = " ".join(explained("--review", "-", stdin=stdin).out.split())
    assert "xxx... (502 characters)" in cut
    whole = read(explained("--review", "-", "-o", "json", stdin=stdin))["results"][0]["rules"][1]
    assert whole["subjects"][0]["values"][0]["value"] == "x" * 500


@pytest.mark.parametrize("path", sources.shipped(), ids=lambda path: path.stem)
def test_the_pages_of_rules_keep_the_schema(plimsoll, path):
    pack = yaml.safe_load(path.read_text())
    assert pack["spec"]["rules"]
    for rule in pack["spec"]["rules"]:
        name = f"{pack['metadata']['name']}/{rule['name']}"
        assert read(plimsoll("explain", name, "--policies", str(path), "-o", "json"))["rule"] == name


@pytest.mark.parametrize("name", ["api-list-scope", "approved-image", "image-digest"])
def test_the_page_of_a_check_keeps_the_schema(explained, name):
    assert read(explained(name, "-o", "json"))["check"] == name


@pytest.mark.parametrize("sample", sorted((ROOT / "samples").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_trace_by_all_that_comes_with_plimsoll_keeps_the_schema(plimsoll, sample):
    found = read(plimsoll("explain", "--review", str(sample), "--mode", "enforce", "-o", "json"))
    assert found["results"]


def test_what_is_exempt_and_what_fails_keep_the_schema(explained):
    failing = "    - {name: fails, expression: 'object.spec.nothing == 1', message: m, action: deny}\n"
    Path("acme.yaml").write_text(PACK.replace("    - {name: probes", f"{failing}    - {{name: probes"))
    found = read(explained("--review", "-", "-o", "json", stdin=(POD % ("web-old", "shop")).encode()))
    assert {"exempt", "failed"} <= {rule["state"] for rule in found["results"][0]["rules"]}


def test_an_update_of_what_was_there_keeps_the_schema(explained, review, pod):
    obj = pod(
        spec={"containers": [{"name": "web", "image": "a"}], "volumes": [{"name": "n", "hostPath": {"path": "/"}}]}
    )
    new = json.loads(json.dumps(obj))
    new["spec"]["volumes"][0]["hostPath"]["type"] = "Directory"
    request = {**review(new).request, "operation": "UPDATE", "oldObject": obj}
    asked = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    stdin = json.dumps(asked).encode()
    found = read(explained("--review", "-", "-o", "json", "--date", "2027-01-01", stdin=stdin))
    (finding,) = found["results"][0]["rules"][0]["subjects"][0]["findings"]
    assert (finding["effective"], finding["existing"]) == ("warn", True)


def test_the_state_of_a_rule_is_the_gravest(explained):
    said = read(explained("--review", "-", "-o", "json", stdin=(POD % ("web", "shop")).encode()))
    assert [(rule["rule"], rule["state"]) for rule in said["results"][0]["rules"]] == [
        ("acme/host-path", "found"), ("acme/few", "found"), ("acme/probes", "disabled"),
    ]  # fmt: skip


NAMESPACE_REVIEW = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "u",
        "kind": {"group": "", "version": "v1", "kind": "Namespace"},
        "resource": {"group": "", "version": "v1", "resource": "namespaces"},
        "name": "shop",
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "jane"},
        "object": {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "shop", "labels": {"plimsoll.dev/mode": "dry-run"}},
        },
    },
}


def test_a_trace_tells_the_right_that_the_requester_needs_to_set_a_namespaces_mode(plimsoll):
    Path("lenient.yaml").write_text(
        "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: acme}\nspec:\n  allowNamespaceMode: [dry-run]\n"
        '  rules: [{name: few, expression: "containers.size() < 9", action: deny}]\n'
    )
    given = ("explain", "--policies", "lenient.yaml", "--review", "-")
    stdin = json.dumps(NAMESPACE_REVIEW).encode()
    said = " ".join(plimsoll(*given, stdin=stdin).out.split())
    assert "plimsoll/namespace-mode: unknown needs: the right set-mode on namespaces.plimsoll.dev shop" in said
    assert "bound to user jane by a ClusterRoleBinding" in said
    [result] = read(plimsoll(*given, "-o", "json", stdin=stdin))["results"]
    assert (result["right"]["state"], result["right"]["effective"]) == ("unknown", "deny")
