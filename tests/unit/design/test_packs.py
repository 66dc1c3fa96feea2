"""The design's section on packs, where one sentence goes through parsing, extending, compiling and judging at once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest

from webhook.checks import cel
from webhook.engine.facts import Facts, Owner
from webhook.model import answer
from webhook.model.decision import Decision
from webhook.ports import Owner as Read
from webhook.service import Service

NEVER = 'rules:\n  - {name: never, expression: "containers.size() == 0", action: %s%s}\n'
HOSTS = "rules:\n  - {name: hosts, check: no-host-path, action: deny}\n"
EXEMPT = "exemptions:\n  - {rules: [hosts], match: %s, reason: r, owner: o, expires: 2026-11-30}\n"
ETC = {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]}
TOKYO, LIMA = timezone(timedelta(hours=9)), timezone(timedelta(hours=-5))


def effective(decision):
    return [finding.effective for finding in decision.findings]


# -- precedence --------------------------------------------------------------------------------------------------

STRENGTH = ["disabled", "audit", "warn", "deny"]


@pytest.mark.parametrize("allowed", [[], ["dry-run"]], ids=" ".join)
def test_of_all_that_have_a_say_on_a_rule_the_weakest_wins(judge, load, deployment, allowed):
    says = itertools.product(
        [False, True],  # the server's --dry-run
        ["enforce", "dry-run", "disabled"],  # the pack's mode
        [None, "dry-run", "disabled"],  # what the namespace asks for
        STRENGTH,  # the rule's action
        ["2026-11-23", "2026-11-24"],  # enforceFrom: today, tomorrow
    )
    for server, mode, asked, action, day in says:
        caps = [
            "audit" if server else "deny",
            {"enforce": "deny", "dry-run": "audit", "disabled": "disabled"}[mode],
            "deny" if asked not in allowed else "audit",
            action,
            "warn" if day == "2026-11-24" else "deny",
        ]
        wanted = min(caps, key=STRENGTH.index)
        text = f"mode: {mode}\nenforceFrom: {day}\nallowNamespaceMode: {allowed}\n" + NEVER % (action, "")
        labels = {"plimsoll.dev/mode": asked} if asked else {}
        facts = Facts(namespace={"metadata": {"name": "shop", "labels": labels}})
        decision = judge(load(text, dry_run=server), deployment(), facts=facts)
        assert effective(decision) == ([] if wanted == "disabled" else [wanted]), (server, mode, asked, action, day)
        assert decision.allowed is (wanted != "deny")


@pytest.mark.parametrize(
    ("own", "given", "wanted"),
    [
        ("enforce", "dry-run", ["audit"]),
        ("dry-run", "enforce", ["deny"]),
        ("disabled", "enforce", []),
        ("disabled", "dry-run", []),
    ],
)
def test_a_mode_on_the_command_line_replaces_a_packs_mode_except_disabled(judge, load, deployment, own, given, wanted):
    packs = load(f"mode: {own}\n" + NEVER % ("deny", ""), mode=given)
    assert effective(judge(packs, deployment())) == wanted


@pytest.mark.parametrize(("pack", "rule"), [("2026-11-20", "2026-11-24"), ("2026-11-24", "2026-11-20")])
def test_a_rule_denies_only_from_when_both_its_pack_and_itself_say_so(judge, deployment, pack, rule):
    text = f"enforceFrom: {pack}\n" + NEVER % ("deny", f", enforceFrom: {rule}")
    assert effective(judge(text, deployment())) == ["warn"]


@pytest.mark.parametrize(
    ("head", "action", "wanted"),
    [
        ("", "deny", "warn"),
        ("", "warn", "warn"),
        ("", "audit", "audit"),
        ("mode: dry-run\n", "deny", "audit"),
        ("enforceFrom: 2027-01-01\n", "deny", "warn"),
    ],
)
def test_what_was_there_before_makes_no_rule_stronger(judge, deployment, head, action, wanted):
    decision = judge(head + NEVER % (action, ""), deployment(pod={"dnsPolicy": "Default"}), old=deployment())
    assert effective(decision) == [wanted]
    assert [finding.existing for finding in decision.findings] == [head == "" and action == "deny"]


# the last UTC minute before December, and its first, on clocks on both sides of the world
@pytest.mark.parametrize(
    ("now", "december"),
    [
        (datetime(2026, 12, 1, 8, 59, tzinfo=TOKYO), False),
        (datetime(2026, 12, 1, 9, 0, tzinfo=TOKYO), True),
        (datetime(2026, 11, 30, 18, 59, tzinfo=LIMA), False),
        (datetime(2026, 11, 30, 19, 0, tzinfo=LIMA), True),
        (datetime(2026, 12, 1, 0, 0, tzinfo=UTC), True),
    ],
)
def test_dates_are_utc_days_wherever_the_clock_stands(judge, deployment, now, december):
    of_pack = "enforceFrom: 2026-12-01\n" + NEVER % ("deny", "")
    of_rule = NEVER % ("deny", ", enforceFrom: 2026-12-01")
    for text in (of_pack, of_rule):
        assert effective(judge(text, deployment(), now=now)) == ["deny" if december else "warn"]
    exempt = HOSTS + EXEMPT % "{names: [web]}"  # through the 30th of November
    assert judge(exempt, deployment(pod=ETC), now=now).allowed is not december


def test_the_label_of_a_namespace_is_read_where_a_pack_allows_it_and_only_there(load, review, deployment, now):
    asked = []

    class Namespaces:
        def get(self, name, timeout):
            asked.append(name)
            return {"metadata": {"name": name, "labels": {"plimsoll.dev/mode": "dry-run"}}}

    for head, wanted in (("", ["deny"]), ("allowNamespaceMode: [dry-run]\n", ["audit"])):
        packs = load(head + NEVER % ("deny", ""))
        service = Service(lambda packs=packs: packs, namespaces=Namespaces(), clock=lambda: now)
        assert effective(service.decide("validate", review(deployment()))) == wanted
    assert asked == ["shop"]


def test_a_disabled_rule_is_not_asked_at_all(judge, load, deployment):
    for packs in (
        load('rules:\n  - {name: fails, expression: "object.spec.nope == 1", action: disabled, onError: deny}\n'),
        load('mode: disabled\nrules:\n  - {name: fails, expression: "object.spec.nope == 1", action: deny}\n'),
    ):
        assert judge(packs, deployment()) == Decision()
        assert not any(packs.concerned().values())


# -- packs that extend one another -------------------------------------------------------------------------------

BASE = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: base}
spec:
  version: "1"
  match: {excludeNamespaces: [kube-system]}
  values: {registries: [registry.example/], limit: 1}
  rules:
    - {name: images, check: approved-image, params: {repositories: "${values.registries}"}, action: deny}
    - {name: few, expression: "containers.size() <= values.limit", action: warn, existing: deny}
  exemptions:
    - {rules: [images], match: {names: [old]}, reason: of the base, owner: o, expires: 2027-03-31}
"""
ACME = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  version: "2"
  extends: base
  values: {registries: [acme.example/]}
  rules:
    - {name: few, action: deny}
    - {name: named, expression: "object.metadata.name != 'x'", action: warn}
  exemptions:
    - {rules: [images], match: {names: [new]}, reason: of acme, owner: o, expires: 2027-03-31}
"""


def test_a_pack_that_extends_another_judges_by_what_both_say(judge, load, deployment, review):
    packs = load(BASE, ACME)

    def found(obj):
        return [(f.pack, f.rule, f.effective, f.exempt) for f in judge(packs, obj).findings]

    # the value given replaces the base's in the rule of the base, which keeps every key that is not given anew
    assert found(deployment(image="acme.example/a:1")) == []
    assert found(deployment(image="registry.example/a:1")) == [("acme", "images", "deny", None)]
    two = {"containers": [{"name": name, "image": "acme.example/a:1"} for name in "ab"]}
    assert found(deployment(pod=two)) == [("acme", "few", "deny", None)]
    assert judge(packs, deployment(pod={**two, "dnsPolicy": "Default"}), old=deployment(pod=two)).allowed is False
    # exemptions of both hold
    assert found(deployment(name="old", image="x"))[0][3] == "of the base (o, until 2027-03-31)"
    assert found(deployment(name="new", image="x"))[0][3] == "of acme (o, until 2027-03-31)"
    # the scope is the base's, and the name and version are the pack's own
    inside = deployment(image="x", metadata={"namespace": "kube-system"})
    assert judge(packs, inside, namespace="kube-system").findings == ()
    document = answer.document(review(deployment()), judge(packs, deployment()), "validate")
    assert document["response"]["auditAnnotations"]["enforced-pack"] == "acme:2"


# -- match: names, containers and images -------------------------------------------------------------------------


def made_by(obj, api_version, kind, name):
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": "1", "controller": True}
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [reference]}}


CHAINS = [
    ("apps/v1", ("ReplicaSet", "web-7d9"), ("Deployment", "web")),
    ("batch/v1", ("Job", "web-29"), ("CronJob", "web")),
]


@pytest.fixture
def serve(load, now):
    """Return a service on packs whose owners are read from the chain given."""

    def make(text, chain):
        class Owners:
            def chain(self, namespace, references, timeout):
                assert (namespace, references[0]["name"]) == ("shop", chain[0].name)
                return chain

        packs = load(text)
        return Service(lambda: packs, owners=Owners(), clock=lambda: now)

    return make


@pytest.mark.parametrize(("api_version", "near", "far"), CHAINS, ids=["Deployment", "CronJob"])
def test_a_name_is_the_objects_or_that_of_any_controller_above_it(serve, review, pod, api_version, near, far):
    group = api_version.partition("/")[0]
    chain = tuple(Read(group, kind, name, uid="1", created=None, object={}) for kind, name in (near, far))
    obj = made_by(pod(name="web-x2", spec=ETC), api_version, *near)
    for names, hit in ([far[1]], True), ([near[1]], True), (["web-x2"], True), (["other"], False):
        in_scope = serve(NEVER % ("deny", f", match: {{names: {names}}}"), chain).decide("validate", review(obj))
        exempt = serve(HOSTS + EXEMPT % f"{{names: {names}}}", chain).decide("validate", review(obj))
        assert (in_scope.allowed, exempt.allowed) == (not hit, hit), names
        assert in_scope.unknown == exempt.unknown == ()


def test_a_job_is_exempt_by_the_name_of_its_cronjob(judge, deployment):
    job = made_by(deployment(name="nightly-29", kind="Job", apiVersion="batch/v1", pod=ETC), "batch/v1", "CronJob", "n")
    facts = Facts(owners=(Owner("batch", "CronJob", "nightly", {}),))
    assert judge(HOSTS + EXEMPT % "{names: [nightly]}", job, facts=facts).allowed
    assert not judge(HOSTS + EXEMPT % "{names: [daily]}", job, facts=facts).allowed


IMAGES = """
match: {containers: ["web*"], images: ["registry.example/"]}
rules:
  - {name: seen, expression: "containers.map(c, c.name) == ['web-good']", action: deny}
"""


def test_with_containers_and_images_both_must_match(judge, deployment):
    good, evil = "registry.example/a:1", "evil.example/a:1"
    containers = [
        {"name": "web-good", "image": good},
        {"name": "web-evil", "image": evil},
        {"name": "other", "image": good},
    ]
    assert judge(IMAGES, deployment(pod={"containers": containers})).findings == ()
    assert not judge(IMAGES, deployment(pod={"containers": [*containers, {"name": "web", "image": good}]})).allowed


def test_images_in_a_match_are_those_of_image_volumes_too(judge, deployment):
    text = """
    rules:
      - name: models
        check: approved-image
        params: {repositories: [registry.example/]}
        match: {images: ["models.example/"]}
        action: deny
    """
    volumes = {"volumes": [{"name": n, "image": {"reference": f"{n}.example/x:1"}} for n in ("models", "other")]}
    decision = judge(text, deployment(image="evil.example/a:1", pod=volumes))
    assert [finding.violation.container for finding in decision.findings] == ["models"]


# -- loading -----------------------------------------------------------------------------------------------------


def test_nothing_is_compiled_while_a_review_waits(judge, load, deployment, monkeypatch):
    text = """
    match: {matchConditions: [{name: c, expression: "request.operation == 'CREATE'"}], images: ["**"]}
    rules:
      - name: cel
        variables: [{name: all, expression: "containers"}]
        expression: "variables.all.size() == 0"
        messageExpression: "string(variables.all.size())"
        action: deny
      - name: patch
        when: "!has(pod.spec.x)"
        patch: [{op: add, path: "/spec/containers/*/x", valueExpression: "item.name"}]
        action: warn
    """
    packs = load(text)

    def compiled_now(*arguments, **more):
        raise AssertionError("compiled while a review waits")

    monkeypatch.setattr(cel, "compile", compiled_now)
    decision = judge(packs, deployment())
    assert [(finding.rule, finding.violation.found) for finding in decision.findings if finding.rule == "cel"] == [
        ("cel", "1")
    ]
    assert [operation["value"] for operation in judge(packs, deployment(), endpoint="mutate").patch] == ["web"]


def test_every_pack_that_was_asked_is_named_with_its_version(judge, load, deployment, review):
    texts = [
        f"apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {{name: {name}}}\nspec:\n  {version}\n"
        '  rules: [{name: never, expression: "true", action: deny}]\n'
        for name, version in (("b", 'version: "2026.11"'), ("a", "contact: us"))
    ]
    decision = judge(load(*texts), deployment())
    noted = answer.document(review(deployment()), decision, "validate")["response"]["auditAnnotations"]
    assert noted == {"enforced-pack": "a,b:2026.11"}
