"""What was there before a rule denied: its controllers make its objects again, and nobody else does."""

from __future__ import annotations

import orjson
import pytest

from webhook.engine.facts import Facts, Missing, Owner
from webhook.model import answer

RULE = """
rules:
  - name: by-digest
    expression: "containers.all(c, c.image.contains('@'))"
    messageExpression: "containers.filter(c, !c.image.contains('@')).map(c, c.image).join(' ')"
    action: deny
    enforceFrom: 2026-11-20
"""
OLD, YOUNG = "2026-11-19T23:59:59Z", "2026-11-20T00:00:00Z"
USER = "system:serviceaccount:kube-system:"
GROUPS = {"Deployment": "apps", "ReplicaSet": "apps", "StatefulSet": "apps", "DaemonSet": "apps"}
GROUPS |= {"Job": "batch", "CronJob": "batch", "ReplicationController": ""}
UID = "uid-of-{}"


def reference(kind, name, uid=None, controller=True):
    group = GROUPS.get(kind, "example.com")
    version = f"{group}/v1" if group else "v1"
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid or UID.format(name), "controller": controller}


def by(obj, kind, name, **more):
    """Name the controller of an object."""
    obj["metadata"]["ownerReferences"] = [reference(kind, name, **more)]
    return obj


@pytest.fixture
def workload(deployment):
    """Make a workload as the API server has it; `above` is (kind, name) of its own controller."""

    def make(kind, name, created=OLD, above=None, image="registry.example/shop/web:1.4.2", **metadata):
        meta = {"uid": UID.format(name), "creationTimestamp": created, **metadata}
        obj = deployment(name=name, kind=kind, image=image, metadata=meta)
        obj["apiVersion"] = reference(kind, name)["apiVersion"]
        if kind == "CronJob":
            obj["spec"] = {"schedule": "@daily", "jobTemplate": {"spec": obj["spec"]}}
        return by(obj, *above) if above else obj

    return make


def facts(*objects, then=None):
    owners = tuple(Owner(GROUPS.get(o["kind"], "example.com"), o["kind"], o["metadata"]["name"], o) for o in objects)
    return Facts(owners=owners if then is None else Missing(then, owners))


def controller(name):
    return {"userInfo": {"username": USER + name, "groups": ["system:serviceaccounts"]}}


REPLICASETS = controller("replicaset-controller")


@pytest.fixture
def rerun(judge, pod, workload):
    """Judge a Pod that its ReplicaSet web-5d, of the Deployment web, has made again; what differs is given."""

    def make(rule=RULE, set_=None, top=None, made=None, user=REPLICASETS, known=None, **request):
        obj = by(pod(name="web-5d-x"), "ReplicaSet", "web-5d") if made is None else made
        set_ = workload("ReplicaSet", "web-5d", above=("Deployment", "web")) if set_ is None else set_
        top = workload("Deployment", "web") if top is None else top
        return judge(rule, obj, facts=facts(set_, top) if known is None else known, **{**user, **request})

    return make


def test_an_owner_on_which_the_rule_fails_excuses_nothing(rerun):
    """With `onError: allow` a failure would let through what the rule finds in the pod."""
    condition = "{name: some, expression: 'object.spec.containers.size() > 0'}"
    rule = RULE + f"    onError: allow\n    match: {{matchConditions: [{condition}]}}\n"
    decision = rerun(rule)
    assert (decision.allowed, decision.errors) == (False, ())


def test_a_pod_of_an_old_workload_is_made_again_and_reported(rerun):
    decision = rerun()
    assert decision.allowed
    [finding] = decision.findings
    assert (finding.action, finding.effective, finding.existing) == ("deny", "warn", True)
    assert (finding.since.owner, finding.since.day) == ("ReplicaSet web-5d", "2026-11-19")
    assert answer.warnings(decision)[0].startswith("pack/by-digest (as before, since 2026-11-19): ")
    [noted] = orjson.loads(answer.audit(decision)["violations"])
    assert (noted["validationActions"], noted["existing"]) == (["Warn"], True)
    assert (noted["owner"], noted["since"]) == ("ReplicaSet web-5d", "2026-11-19")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("DaemonSet", "daemon-set-controller"),
        ("Job", "job-controller"),
        ("ReplicaSet", "replicaset-controller"),
        ("ReplicationController", "replication-controller"),
        ("StatefulSet", "statefulset-controller"),
    ],
)
def test_the_controller_of_each_kind_makes_its_pods_again_and_that_of_no_other(judge, pod, workload, kind, name):
    made, known = by(pod(), kind, "web"), facts(workload(kind, "web"))
    assert judge(RULE, made, facts=known, **controller(name)).allowed
    assert judge(RULE, made, facts=known, userInfo={"username": "system:kube-controller-manager"}).allowed
    assert not judge(RULE, made, facts=known, **controller("deployment-controller")).allowed


@pytest.mark.parametrize(
    "user",
    [
        "jane",
        "",
        "system:serviceaccount:shop:replicaset-controller",
        "system:serviceaccount:kube-system:default",
        "system:serviceaccount:kube-system:statefulset-controller",
        "system:serviceaccount:kube-system:replicaset-controller ",
        "system:kube-scheduler",
    ],
)
def test_who_is_not_the_owners_controller_makes_nothing_and_has_nothing_looked_up(rerun, user):
    assert not rerun(user={"userInfo": {"username": user}}).allowed
    decision = rerun(user={"userInfo": {"username": user}}, known=Facts())
    assert not decision.allowed
    assert decision.wants == set()


def test_without_a_date_nothing_was_there_before(rerun):
    decision = rerun(RULE.replace("    enforceFrom: 2026-11-20\n", ""))
    assert not decision.allowed
    assert decision.wants == set()


def test_the_packs_date_counts_as_the_rules_own(rerun):
    dated = "enforceFrom: 2026-11-20" + RULE.replace("    enforceFrom: 2026-11-20\n", "")
    assert rerun(dated).findings[0].existing


def test_existing_deny_turns_it_off(rerun):
    decision = rerun(RULE + "    existing: deny\n")
    assert not decision.allowed
    assert decision.wants == set()


def test_an_owner_of_the_day_itself_is_not_older(rerun, workload):
    young = workload("ReplicaSet", "web-5d", YOUNG, ("Deployment", "web"))
    decision = rerun(set_=young, top=workload("Deployment", "web", YOUNG))
    assert not decision.allowed


@pytest.mark.parametrize("created", [None, "", "yesterday"])
def test_an_owner_whose_age_is_not_known_is_not_older(rerun, workload, created):
    set_ = workload("ReplicaSet", "web-5d", created, ("Deployment", "web"))
    assert not rerun(set_=set_, top=workload("Deployment", "web", created)).allowed


def test_a_finding_that_the_owner_has_not_is_new(rerun, workload, pod):
    worse = by(pod(image="evil.example/x:1"), "ReplicaSet", "web-5d")
    assert not rerun(made=worse).allowed
    good = workload("ReplicaSet", "web-5d", above=("Deployment", "web"), image="a@sha256:1")
    assert not rerun(set_=good).allowed


def test_an_owner_that_the_rule_does_not_judge_excuses_nothing(rerun):
    assert not rerun(RULE + "    match: {kinds: [Pod]}\n").allowed


@pytest.mark.parametrize(
    "forged",
    [{"uid": "of-another"}, {"controller": False}],
    ids=["uid", "no controller"],
)
def test_a_reference_that_is_not_the_owners_excuses_nothing(rerun, pod, forged):
    assert not rerun(made=by(pod(), "ReplicaSet", "web-5d", **forged)).allowed


def test_an_owner_without_a_uid_is_nobody(rerun, workload):
    assert not rerun(set_=workload("ReplicaSet", "web-5d", above=("Deployment", "web"), uid="")).allowed


def test_an_owner_that_the_cluster_does_not_have_excuses_nothing(rerun):
    decision = rerun(known=Facts(owners=()))
    assert not decision.allowed
    assert decision.unknown == ()


# -- what is made anew below an old workload ---------------------------------------------------------------------


def test_a_new_replica_set_of_an_old_deployment_and_its_pods_are_made(judge, rerun, workload):
    """A restart on a day after: the Deployment was there before, its update was warned of, it rolls out."""
    young, top = workload("ReplicaSet", "web-5d", YOUNG, ("Deployment", "web")), workload("Deployment", "web")
    made = judge(RULE, young, facts=facts(top), **controller("deployment-controller"))
    assert made.allowed
    assert made.findings[0].since.owner == "Deployment web"
    assert not judge(RULE, young, facts=facts(top)).allowed
    decision = rerun(set_=young, top=top)
    assert decision.findings[0].since.owner == "Deployment web"


def test_a_job_of_an_old_cron_job_and_its_pod_are_made_each_night(judge, pod, workload):
    job, top = workload("Job", "web-1", YOUNG, ("CronJob", "web")), workload("CronJob", "web")
    assert judge(RULE, job, facts=facts(top), **controller("cronjob-controller")).findings[0].existing
    made = by(pod(), "Job", "web-1")
    assert judge(RULE, made, facts=facts(job, top), **controller("job-controller")).findings[0].existing
    assert not judge(RULE, job, facts=facts(top)).allowed, "one that a person makes of it is new"


def test_a_new_replica_set_is_not_excused_by_a_deployment_without_the_finding(rerun, workload):
    young = workload("ReplicaSet", "web-5d", YOUNG, ("Deployment", "web"))
    assert not rerun(set_=young, top=workload("Deployment", "web", image="a@sha256:1")).allowed


def test_an_old_replica_set_goes_on_while_its_deployment_is_mended(rerun, workload):
    assert rerun(top=workload("Deployment", "web", image="a@sha256:1")).allowed


def test_a_deployment_that_is_another_than_the_replica_set_names_excuses_nothing(rerun, workload):
    young = by(workload("ReplicaSet", "web-5d", YOUNG), "Deployment", "web", uid="of-another")
    assert not rerun(set_=young).allowed


# -- what cannot be had ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by_rule", "allowed"), [("warn", True), ("deny", False)])
def test_an_owner_that_cannot_be_read_is_unknown_and_never_no_owner(rerun, by_rule, allowed):
    decision = rerun(RULE + f"    onUnknown: {by_rule}\n", known=facts(then="timed out"))
    assert decision.allowed is allowed
    assert decision.findings == ()
    [fault] = decision.unknown
    assert (fault.fact, fault.effective, "timed out" in fault.message) == ("owners", by_rule, True)


def test_owners_are_asked_for_by_the_finding(rerun):
    assert rerun(known=Facts()).wants == {"owners"}


def test_what_is_known_below_decides_where_the_rest_cannot_be_had(rerun, workload):
    old = workload("ReplicaSet", "web-5d", above=("Deployment", "web"))
    assert rerun(known=facts(old, then="timed out")).findings[0].existing
    good = workload("ReplicaSet", "web-5d", above=("Deployment", "web"), image="a@sha256:1")
    assert not rerun(known=facts(good, then="timed out")).allowed
    young = workload("ReplicaSet", "web-5d", YOUNG, ("Deployment", "web"))
    assert [fault.fact for fault in rerun(known=facts(young, then="timed out")).unknown] == ["owners"]


def test_an_owner_of_a_kind_that_has_no_pods_turns_no_no_into_perhaps(rerun, workload):
    """Who stores a workload writes its owner, and any kind that nobody knows would do."""
    young = workload("ReplicaSet", "web-5d", YOUNG, ("Shop", "web"))
    decision = rerun(known=facts(young, then="how to read example.com/Shop isn't known"))
    assert not decision.allowed
    assert decision.unknown == ()


# -- what stays as it was ----------------------------------------------------------------------------------------


def test_before_the_day_it_only_warns_of_all(rerun):
    decision = rerun(RULE.replace("2026-11-20", "2026-11-24"), user=controller("nobody"), known=Facts())
    assert decision.allowed
    assert not decision.findings[0].existing


def test_a_pod_runs_again_whatever_was_injected_into_it(rerun, pod):
    rule = RULE.replace("containers.all(c, c.image.contains('@'))", "containers.all(c, c.name != 'web')")
    rule = rule.replace(
        """    messageExpression: "containers.filter(c, !c.image.contains('@')).map(c, c.image).join(' ')"\n""", ""
    )
    injected = {"containers": [{"name": "web", "image": "a"}, {"name": "proxy", "image": "x"}]}
    assert rerun(rule, made=by(pod(spec=injected), "ReplicaSet", "web-5d")).allowed


def test_exemptions_go_before(rerun):
    exempting = RULE + (
        "exemptions:\n  - {rules: [by-digest], match: {namespaces: [shop]}, reason: r, owner: o, expires: 2026-12-31}\n"
    )
    [finding] = rerun(exempting).findings
    assert finding.exempt is not None
    assert not finding.existing


CONTROL = """
rules:
  - name: r
    check: %s
    params: {%s}
    action: deny
    enforceFrom: 2026-11-20
"""
SHELL = {"name": "web", "image": "a", "ports": [{"containerPort": 22}]}
OPEN = {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}


@pytest.mark.parametrize(
    ("rule", "template", "made"),
    [
        (
            CONTROL % ("pod-security", "controls: [seccomp-profile]"),
            OPEN,
            {**OPEN, "containers": [{"name": "web", "image": "a"}, {"name": "injected", "image": "b"}]},
        ),
        (
            CONTROL % ("not-a-vm", "hostNamespaces: []"),
            {"hostNetwork": True, "containers": [SHELL]},
            {"hostNetwork": True, "containers": [{**SHELL, "ports": [{"containerPort": 22, "hostPort": 22}]}]},
        ),
    ],
    ids=["a container that others put into pods", "ports that the API server writes into pods"],
)
def test_what_is_written_into_pods_on_the_way_makes_no_finding_of_their_template_another(
    rerun, workload, pod, rule, template, made
):
    """Else a drained node was an outage."""
    set_, top = workload("ReplicaSet", "web-5d", above=("Deployment", "web")), workload("Deployment", "web")
    for one in (set_, top):
        one["spec"]["template"]["spec"].update(template)
    decision = rerun(rule, set_, top, by(pod(name="web-5d-x", spec=made), "ReplicaSet", "web-5d"))
    assert decision.allowed
    assert [finding.existing for finding in decision.findings] == [True]
