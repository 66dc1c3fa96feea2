"""Every case of every check, in every workload kind and inside every wrapper: judged and mended as in a Deployment.

A pod case stands in a Deployment first. The same pod in another kind, or the same object in a wrapper, has to give the
same findings, at the place where it stands there. `ALIKE` says of which kinds a check is about fields of the workload
itself, so that a new row of the table, or a check that forgets one, cannot go unseen.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import webhook.checks
from webhook.checks import CHECKS, Module
from webhook.checks.check import Check
from webhook.engine.facts import Facts, Missing
from webhook.model import image, oci
from webhook.model.decision import Decision, Unsure, Violation
from webhook.model.neighbours import Found, Ref
from webhook.model.neighbours import alone as nobody
from webhook.model.oci import Inspected, Lookup
from webhook.model.patch import Draft, apply
from webhook.model.pods import Subject, group_of, mapping, subjects
from webhook.model.workloads import TABLE, Row, row, table
from webhook.packs.rule import Ruleset

ROOM = Path(webhook.checks.__file__).parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Kind = tuple[str, str]
Case = dict[str, Any]
ASKED = datetime(2026, 11, 1, tzinfo=UTC)
Object = dict[str, Any]
# what a finding says, and where
Said = tuple[str, str, str, str, str | None]

COMPANY = row("acme.example/Service:services:spec.template")  # a row that a company adds in its settings
KINDS = table([COMPANY])
DEPLOYMENT = KINDS["apps", "Deployment"]
TEMPLATE = "/spec/template"
PLACES = [(one, path) for one in KINDS.values() if not one.wraps for path in one.paths]
WRAPPERS = [one for one in TABLE if one.wraps]
# the engine writes into none of these: their objects are another control plane's
KNATIVE = ("serving.knative.dev", "Service")
UNTOUCHED = {("work.karmada.io", "Work"), ("apps.clusternet.io", "Manifest")}

EVERY = frozenset((one.group, one.kind) for one, _ in PLACES)
DAEMONS = frozenset({("apps", "DaemonSet"), ("apps.kruise.io", "DaemonSet")})
# the same for OpenKruise's jobs that have a pod on each node, one of them as one of two templates of its kind
BROADCAST = ("apps.kruise.io", "BroadcastJob")
ON_EACH_NODE = frozenset(
    {
        "apps/DaemonSet spec.template",
        "apps.kruise.io/DaemonSet spec.template",
        "apps.kruise.io/BroadcastJob spec.template",
        "apps.kruise.io/AdvancedCronJob spec.template.broadcastJobTemplate.spec.template",
    }
)
CLAIMING = frozenset({("apps", "StatefulSet"), ("apps.kruise.io", "StatefulSet"), ("apps.kruise.io", "CloneSet")})
REPLICATED = CLAIMING | {
    ("", "ReplicationController"),
    ("apps", "ReplicaSet"),
    ("apps", "Deployment"),
    ("argoproj.io", "Rollout"),
    ("acme.example", "Service"),
}
SCALED = REPLICATED - {("acme.example", "Service")}  # whether a company's kind has a scale nobody knows
ROLLED = CLAIMING | DAEMONS | {("apps", "Deployment"), ("argoproj.io", "Rollout")}
RELEASED = frozenset({("apps", "Deployment"), ("argoproj.io", "Rollout")})
JOBS = frozenset(
    {
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("batch.volcano.sh", "Job"),
        ("jobset.x-k8s.io", "JobSet"),
        ("apps.kruise.io", "BroadcastJob"),
        ("apps.kruise.io", "AdvancedCronJob"),
    }
)
UNCOUNTED = DAEMONS | JOBS | {("", "Pod"), ("", "PodTemplate"), ("serving.knative.dev", "Service")}
# the fields of a workload itself that cases write and only some kinds have
FIELDS = {"replicas": REPLICATED, "volumeClaimTemplates": CLAIMING}

# Checks with cases of whole workloads: the kinds that they judge alike, and why no others. In those such an object
# gives no finding at all, but for the checks of DIFFERENT.
ALIKE: dict[str, tuple[frozenset[Kind], str]] = {
    "api-list-scope": (frozenset({("", "Pod")}), "only a Pod shows by its uid that the API server gave it no token"),
    "autoscaling": (SCALED, "what has no replicas cannot be scaled"),
    "dedicated-nodes": (DAEMONS | {BROADCAST}, "the case is about pods that go down with their node"),
    "disruption-budget": (SCALED, "what has no replicas has a pod on each node, or ends"),
    "job-cleanup": (JOBS, "what is no Job never ends"),
    "log-path": (CLAIMING, "the case is about claim templates"),
    "lossless-release": (ROLLED, "nobody rolls out Jobs and bare pods; Knative drains itself; of others nobody knows"),
    "no-ip-address": (EVERY, "a Service of Knative is a workload like others"),
    "no-local-state": (REPLICATED - {("apps", "ReplicaSet")}, "a Deployment's ReplicaSets would repeat its findings"),
    "progressive-delivery": (RELEASED, "a Deployment is to be a Rollout, and nothing else"),
    "required-labels": (EVERY - {("", "Pod")}, "labels are for all; a Pod is workload and template at once"),
    "resource-shape": (REPLICATED, "the cases are about replicas"),
    "spread-replicas": (REPLICATED, "only where there are replicas, something can be spread"),
    "workload-class": (DAEMONS | {BROADCAST}, "the case is about a pod on every node"),
}
DIFFERENT = {
    "api-list-scope": "a template has no uid; the pod cases are about it",
    "dedicated-nodes": "other pods may be interrupted only where they say so; the pod cases are about it",
    "log-path": "without its claim the directory is no volume",
    "required-labels": "a Pod has cases of its own",
    "workload-class": "other pods have a class; the pod cases are about it",
}
# their kinds say the same in other words, which are translated further below; a Rollout has cases of its own
TRANSLATED = frozenset({"job-cleanup", "progressive-delivery"})
# what is not found in DaemonSets: they have a pod on every node, whatever its class, and it goes down with the node
DAEMON_PODS = {
    "workload-class": ("no class", "unknown class", "not kept from its like"),
    "dedicated-nodes": ("may not be interrupted",),
}


def cases(check: str) -> list[Case]:
    found = yaml.load((ROOM / f"{check}.cases.yaml").read_text(), LOADER)
    assert isinstance(found, list)
    return found


CASES = [(check, case) for check in CHECKS for case in cases(check)]


def params(chosen: list[tuple[str, Case]]) -> Any:
    return pytest.mark.parametrize(
        ("module", "case"), [pytest.param(CHECKS[check], case, id=f"{check}: {case['name']}") for check, case in chosen]
    )


def build(module: Module, case: Case) -> Check:
    return module.build({**module.DEFAULTS, **case.get("params", {})})


def nested(path: tuple[str, ...], value: Any, beside: Any) -> Any:
    """Put a value at a path; of a list it is the second element, and `beside` the first."""
    for token in reversed(path):
        value = [beside, value] if token == "*" else {token: value}
    return value


def pointer(path: tuple[str, ...]) -> str:
    return "".join(f"/{'1' if token == '*' else token}" for token in path)


def placed(kind: Row, path: tuple[str, ...], template: Object, metadata: Object, spec: Object) -> Object:
    """Make an object of a kind around a pod template, with metadata and spec of its own as far as it has them."""
    head = {"apiVersion": f"{kind.group}/v1" if kind.group else "v1", "kind": kind.kind}
    if not path:
        return {**template, **head, "metadata": {**metadata, **mapping(template.get("metadata"))}}
    # what stands beside it in a list is no template, so that nothing but the one in question is found
    inner = nested(path, template, {"name": "beside"})
    own = {key: value for key, value in spec.items() if (kind.group, kind.kind) in FIELDS.get(key, EVERY)}
    if path[0] == "spec":
        inner = {"spec": {**own, **inner["spec"]}}
    return {**inner, **head, "metadata": metadata}


def wrapped(wrapper: Row, obj: Object) -> Object:
    [path] = wrapper.paths
    beside = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "beside", "namespace": "shop"}}
    head = {"apiVersion": f"{wrapper.group}/v1", "kind": wrapper.kind}
    return {**nested(path, obj, beside), **head, "metadata": {"name": "wrapper", "namespace": "shop"}}


def template_of(case: Case, key: str = "pod") -> Object:
    pod = case[key]
    return {"metadata": pod.get("metadata", {}), "spec": pod["spec"]}


def whole(case: Case, key: str = "") -> Object:
    """Return the object of a case (or, with `key` fixed, what the fix makes of it): a pod stands in a Deployment."""
    if "object" in case:
        obj = case[key or "object"]
        return {**obj, "metadata": {"name": "x", "namespace": "shop", **mapping(obj.get("metadata"))}}
    metadata = {"name": "x", "namespace": "shop"}
    return placed(DEPLOYMENT, DEPLOYMENT.paths[0], template_of(case, key or "pod"), metadata, {})


def found(check: Check, obj: Object, case: Case) -> list[Violation]:
    violations: list[Violation | Unsure] = []
    for subject in seen(obj, check, case):
        violations += check.subject(subject) if check.subject else []
        for pod in subject.pods:
            violations += check.violations(pod)
    return [one for one in violations if isinstance(one, Violation)]


def seen(obj: Object, check: Check | None = None, case: Case | None = None) -> tuple[Subject, ...]:
    """Return the subjects of an object; with a check and a case, what the case has beside them."""
    metadata = obj["metadata"]
    alone = subjects(
        obj, group_of(obj["apiVersion"]), obj["kind"], metadata.get("namespace", "shop"), metadata["name"], KINDS
    )
    if check is None or case is None:
        return alone
    found = [(subject, beside(sought(check, subject), subject, case)) for subject in alone]
    registries = images(case)
    return tuple(
        subject.beside(
            lambda ref, known=known: known.get(ref) or nobody(ref),
            lambda lookup: registries.get(lookup.reference) or oci.uninspected(lookup),
        )
        for subject, known in found
    )


def images(case: Case) -> dict[str, Inspected]:
    """Return what the `images` of a case say that registries know, by normalized reference."""
    return {str(image.parse(name)): oci.inspected(known, ASKED) for name, known in case.get("images", {}).items()}


def sought(check: Check, subject: Subject) -> set[Ref]:
    """Return what a check and its fix look for beside a subject."""
    return {ref for ask in (check.seeks, check.fix_seeks) if ask for ref in ask(subject)}


def beside(refs: Iterable[Ref], subject: Subject, case: Case) -> dict[Ref, Found]:
    """Return the neighbours of a case; autoscalers of the case's own workload scale it in its new kind."""
    old, own = case.get("object", {}), subject.object
    others = []
    for other in case.get("neighbours", ()):
        target = other.get("spec", {}).get("scaleTargetRef", {})
        if target and all(target[key] == old.get(key) for key in ("apiVersion", "kind")):
            target = {**target, "apiVersion": own["apiVersion"], "kind": own["kind"]}
            other = {**other, "spec": {**other["spec"], "scaleTargetRef": target}}
        others.append((group_of(other["apiVersion"]), other["kind"], other["metadata"]["name"], other))
    more = case.get("lacking", ""), case.get("failed", False)
    return {ref: Found(tuple(other for *key, other in others if ref.fits(*key)), *more) for ref in refs}


def said(violations: list[Violation], before: str = "", after: str = "") -> list[Said]:
    """Return what findings say, sorted, with the place `before` named as `after`."""
    lines = []
    for one in violations:
        assert one.pointer.startswith(before)
        at = after + one.pointer.removeprefix(before)
        lines.append((at, one.reason, one.found, one.wanted, one.container))
    return sorted(lines, key=str)


def mended(check: Check, obj: Object, case: Case) -> Object:
    """Return what the fix of a check makes of an object; asserts that its patch is that, and a second one empty."""
    before = copy.deepcopy(obj)
    draft = drafted(check, obj, case)
    assert obj == before, "a fix writes into the draft, never into the object"
    assert apply(obj, draft.operations) == draft.document
    assert drafted(check, draft.document, case).operations == [], "a second fix changes something"
    return draft.document


def drafted(check: Check, obj: Object, case: Case) -> Draft:
    draft = Draft.of(obj)
    for subject in seen(draft.document, check, case):
        if check.fix_subject is not None:
            check.fix_subject(subject, draft)
        for pod in subject.pods if check.fix is not None else ():
            check.fix(pod, draft)
    return draft


def workload(obj: Object) -> Row | None:
    """Return the row of an object that is a workload by itself, neither made by another one nor referring to it."""
    kind = KINDS.get((group_of(obj["apiVersion"]), obj["kind"]))
    refers = "workloadRef" in obj.get("spec", {}) or "ownerReferences" in obj["metadata"]
    return None if kind is None or kind.wraps or refers else kind


def moved(obj: Object, kind: Row, path: tuple[str, ...]) -> Object:
    """Return a workload as one of another kind: its pod template, its metadata, and of its spec what both have."""
    own = workload(obj)
    assert own is not None
    pods = seen(obj)[0].pods
    template: Object = {"spec": {"containers": []}}
    if pods:
        template = {"spec": pods[0].spec, **({"metadata": pods[0].metadata} if pods[0].metadata else {})}
    at_template = own.paths == (("spec", "template"),)
    spec = {key: value for key, value in obj["spec"].items() if key != "template"} if at_template else {}
    if kind.kind == "ReplicationController" and "matchLabels" in spec.get("selector", {}):
        spec["selector"] = spec["selector"]["matchLabels"]
    return placed(kind, path, template, obj["metadata"], spec)


def elsewhere(case: Case) -> Iterator[tuple[str, Object, str]]:
    """Yield a pod case in each kind: its name, the object, and where the template stands."""
    for kind, path in PLACES:
        obj = placed(kind, path, template_of(case), {"name": "x", "namespace": "shop"}, {})
        yield f"{kind.group}/{kind.kind} {'.'.join(path)}", obj, pointer(path)


def everywhere(case: Case) -> Iterator[tuple[str, Object, str]]:
    """Yield a pod in each kind, and each case in each wrapper: what, the object, and where the case stands in it."""
    if "pod" in case:
        yield from elsewhere(case)
    inside, at = whole(case), TEMPLATE if "pod" in case else ""
    for wrapper in WRAPPERS:
        yield wrapper.kind, wrapped(wrapper, inside), pointer(wrapper.paths[0]) + at


def test_of_every_row_of_the_table_it_is_said_whether_it_has_replicas() -> None:
    assert REPLICATED | UNCOUNTED == EVERY
    assert not REPLICATED & UNCOUNTED


@params(CASES)
def test_a_case_is_judged_in_every_kind_and_wrapper_as_in_a_deployment(module: Module, case: Case) -> None:
    check, pod = build(module, case), "pod" in case
    there = found(check, whole(case), case)
    for what, obj, at in everywhere(case):
        wanted = there
        if what in ON_EACH_NODE and module.ID in DAEMON_PODS:
            wanted = [one for one in there if one.reason not in DAEMON_PODS[module.ID]]
        assert said(found(check, obj, case)) == said(wanted, TEMPLATE if pod else "", at), f"in {what}"


def alike(module: Module, case: Case, kind: Kind) -> bool:
    """Say whether a check judges an object of this kind like the case's: it is one of its kinds, and has the fields."""
    spec = case["object"].get("spec", {})
    if module.ID == "lossless-release":  # the pods of a DaemonSet drain like others, however many there are
        return kind in ROLLED
    if kind == (COMPANY.group, COMPANY.kind):
        # nobody knows whether a company's kind has a scale, nor whether it has replicas until it says so
        if any(other["kind"] == "HorizontalPodAutoscaler" for other in case.get("neighbours", ())):
            return False
        if module.ID == "spread-replicas" and spec.get("replicas") is None:
            return False
    return kind in ALIKE[module.ID][0] and all(kind in kinds for field, kinds in FIELDS.items() if spec.get(field))


def below(violations: list[Violation], place: str) -> list[Violation]:
    return [one for one in violations if one.pointer.startswith(f"{place}/")]


WORKLOADS = [(check, case) for check, case in CASES if "object" in case and workload(case["object"])]


@params(WORKLOADS)
def test_a_workload_is_judged_in_every_kind_that_has_its_fields_and_in_no_other(module: Module, case: Case) -> None:
    check, obj = build(module, case), whole(case)
    own, there, pods = (group_of(obj["apiVersion"]), obj["kind"]), found(check, obj, case), seen(obj)[0].pods
    before = pods[0].pointer if pods else TEMPLATE
    for kind, path in PLACES:
        name = (kind.group, kind.kind)
        what = f"in {kind.group}/{kind.kind} {'.'.join(path)}"
        got, at = found(check, moved(obj, kind, path), case), pointer(path)
        if not alike(module, case, name):
            assert said(got) == [] or module.ID in DIFFERENT, f"{what}: {ALIKE[module.ID][1]}"
        elif own in ALIKE[module.ID][0] and module.ID not in TRANSLATED:
            wanted = there
            if module.ID == "lossless-release":  # the strategies are translated further below
                got, wanted = below(got, at), below(there, before)
            assert said(got) == moved_to(wanted, before, at), what


def moved_to(violations: list[Violation], before: str, after: str) -> list[Said]:
    """Return what findings say with their places in another kind: those of the template move with it."""
    inside = below(violations, before)
    outside = [one for one in violations if one not in inside]
    return sorted([*said(inside, before, after), *said(outside)], key=str)


Renames = dict[str, str]
Translation = tuple[str, Object, Renames]


def translated(obj: Object) -> list[Translation]:
    """Return a rollout or a Job in the words of the kinds that have other words for it: what, the object, its places.

    The first is the object itself. Sources of the words: apis/apps/v1beta1 of openkruise/kruise; RolloutStrategy in
    pkg/apis/rollouts/v1alpha1 of argoproj/argo-rollouts; api/jobset/v1alpha2 of kubernetes-sigs/jobset;
    pkg/apis/batch/v1alpha1 of volcano-sh/apis.
    """
    spec = obj.get("spec", {})
    if obj["kind"] == "Deployment" and spec.get("strategy", {}).get("type") != "Recreate":
        ways = rollouts(spec)
    elif (obj["apiVersion"], obj["kind"]) == ("batch/v1", "CronJob"):
        ways = cron_jobs(spec)
    elif (obj["apiVersion"], obj["kind"]) == ("batch/v1", "Job"):
        ways = jobs(spec)
    else:
        return []
    return [
        (what, {"metadata": obj["metadata"], "apiVersion": what.rpartition("/")[0], "kind": what.rpartition("/")[2],
                "spec": other}, renames)
        for what, other, renames in ways
    ]  # fmt: skip


def rollouts(spec: Object) -> list[Translation]:
    # with the numbers of a Deployment written down, for each controller has its own where nothing is written
    counts = {"maxUnavailable": "25%", "maxSurge": "25%", **spec.get("strategy", {}).get("rollingUpdate", {})}
    bare = {key: value for key, value in spec.items() if key != "strategy"}
    at = "/spec/strategy/rollingUpdate"
    return [
        ("apps/v1/Deployment", {**bare, "strategy": {"rollingUpdate": counts}}, {}),
        ("argoproj.io/v1alpha1/Rollout", {**bare, "strategy": {"canary": counts}}, {at: "/spec/strategy/canary"}),
        ("apps.kruise.io/v1beta1/CloneSet", {**bare, "updateStrategy": counts}, {at: "/spec/updateStrategy"}),
    ]


def cron_jobs(spec: Object) -> list[Translation]:
    bare = {key: value for key, value in spec.items() if key not in ("jobTemplate", "suspend")}
    if "suspend" in spec:
        bare["paused"] = spec["suspend"]
    job, what = spec["jobTemplate"], "apps.kruise.io/v1beta1/AdvancedCronJob"
    below, deadline = "/spec/template/broadcastJobTemplate", "/spec/activeDeadlineSeconds"
    places = {f"/spec/jobTemplate{deadline}": f"{below}/spec/completionPolicy/activeDeadlineSeconds"}
    broadcast = {"template": {"broadcastJobTemplate": {"spec": broadcasting(job.get("spec", {}))}}}
    return [
        ("batch/v1/CronJob", spec, {}),
        (what, {**bare, "template": {"jobTemplate": job}}, {"/spec/jobTemplate": "/spec/template/jobTemplate"}),
        (what, {**bare, **broadcast}, {**places, "/spec/jobTemplate": below}),
    ]


def jobs(spec: Object) -> list[Translation]:
    bare = {key: value for key, value in spec.items() if key != "ttlSecondsAfterFinished"}
    ttl = {key: value for key, value in spec.items() if key == "ttlSecondsAfterFinished"}
    fields = ("ttlSecondsAfterFinished", "activeDeadlineSeconds")
    policy = {f"/spec/{field}": f"/spec/completionPolicy/{field}" for field in fields}
    places = {f"/spec/{field}": f"/spec/replicatedJobs/1/template/spec/{field}" for field in fields[1:]}
    return [
        ("batch/v1/Job", spec, {}),
        ("apps.kruise.io/v1beta1/BroadcastJob", broadcasting(spec), policy),
        (
            "jobset.x-k8s.io/v1alpha2/JobSet",
            {**ttl, "replicatedJobs": [{"name": "a"}, {"template": {"spec": bare}}]},
            {**places, "/spec/template": "/spec/replicatedJobs/1/template/spec/template"},
        ),
    ]


def broadcasting(job: Object) -> Object:
    fields = ("ttlSecondsAfterFinished", "activeDeadlineSeconds")
    policy = {key: job[key] for key in fields if key in job}
    return {**({"completionPolicy": policy} if policy else {}), "template": job["template"]}


def renamed(lines: list[Said], renames: Renames) -> list[Said]:
    moved = []
    for at, *rest in lines:
        before = next((place for place in renames if at.startswith(place)), "")
        moved.append((renames.get(before, "") + at.removeprefix(before), *rest))
    return sorted(moved, key=str)


WORDED = [
    (check, case) for check, case in CASES if check in ("job-cleanup", "lossless-release") and translated(whole(case))
]


@params(WORDED)
def test_what_other_kinds_say_in_other_words_is_judged_and_mended_alike(module: Module, case: Case) -> None:
    check = build(module, case)
    [(_, first, _), *others] = translated(whole(case))
    wanted = said(found(check, first, case))
    results = [what for what, _, _ in translated(whole(case, "fixed"))] if "fixed" in case else []
    for number, (what, obj, renames) in enumerate(others):
        assert said(found(check, obj, case)) == renamed(wanted, renames), f"as {what}"
        if results:
            assert mended(check, obj, case) == translated(whole(case, "fixed"))[number + 1][1], f"as {what}"


FIXED = [(check, case) for check, case in CASES if "fixed" in case]


@params(FIXED)
def test_a_case_is_mended_in_every_kind_and_wrapper_as_in_a_deployment(module: Module, case: Case) -> None:
    # also where the engine lets nobody write; that is its own decision
    check, key = build(module, case), "pod" if "pod" in case else "object"
    for (what, obj, _), (_, wanted, _) in zip(everywhere(case), everywhere({key: case["fixed"]}), strict=True):
        unmended = what in ON_EACH_NODE and module.ID == "workload-class"
        assert mended(check, obj, case) == (obj if unmended else wanted), f"in {what}"


@params([(check, case) for check, case in WORKLOADS if "fixed" in case and check not in TRANSLATED])
def test_a_workload_is_mended_in_every_kind_that_has_its_fields(module: Module, case: Case) -> None:
    check, obj, fixed = build(module, case), whole(case), whole(case, "fixed")
    own = (group_of(obj["apiVersion"]), obj["kind"])
    for kind, path in PLACES:
        if own in ALIKE[module.ID][0] and alike(module, case, (kind.group, kind.kind)):
            got, wanted = mended(check, moved(obj, kind, path), case), moved(fixed, kind, path)
            if module.ID == "lossless-release":  # strategies are translated above
                got, wanted = ({**one, "spec": one["spec"]["template"]} for one in (got, wanted))
            assert got == wanted, f"in {kind.group}/{kind.kind}"


def pack(check: str, case: Case, **more: Any) -> str:
    rule = {"name": "case", "check": check, "params": case.get("params", {}), "action": "deny", **more}
    return json.dumps({"rules": [rule]})


def alone(check: Check, case: Case) -> bool:
    """Say whether nothing beside the object of a case counts; in a wrapper, only what is in it too would."""
    return not any(sought(check, subject) for subject in seen(whole(case)))


def facts(check: Check, case: Case) -> Facts:
    """Return what is known beside the object of a case, as the service gathers it."""
    (subject, *_) = seen(whole(case))
    known = beside(sought(check, subject), subject, case)
    spaces = [found.objects[0] for ref, found in known.items() if ref.kind == "Namespace" and found.objects]
    registries = {Lookup(name): found for name, found in images(case).items()}
    return Facts(namespace=spaces[0] if spaces else Missing("not known"), neighbours=known, images=registries)


@pytest.mark.parametrize("name", CHECKS)
def test_a_review_of_any_kind_and_wrapper_finds_what_the_check_does(
    name: str, load: Callable[..., Ruleset], judge: Callable[..., Decision]
) -> None:
    def heard(rules: Ruleset, obj: Object, known: Facts, unsure: bool) -> list[Violation]:
        decision = judge(rules, obj, facts=known)
        assert not decision.errors and bool(decision.unknown) is unsure
        return [finding.violation for finding in decision.findings]

    for case in (case for case in cases(name) if case["findings"]):
        rules, check = load(pack(name, case), kinds=KINDS), build(CHECKS[name], case)
        known, unsure = facts(check, case), bool(case.get("unsure"))
        there = heard(rules, whole(case), known, unsure)
        assert said(there) == said(found(check, whole(case), case)), case["name"]
        for what, obj, at in everywhere(case) if alone(check, case) else ():
            wanted = said(there, "", at) if "object" in case else said(found(check, obj, case))
            assert said(heard(rules, obj, Facts(images=known.images), unsure)) == wanted, f"{case['name']}: in {what}"


def refused(obj: Object, wanted: Object) -> bool:
    """Say whether a mended Service of Knative has fields that it had not, and that Knative takes with a flag only."""
    before, after = (seen(one)[0].pods[0].spec for one in (obj, wanted))
    return bool({"affinity", "dnsConfig", "dnsPolicy", "nodeSelector", "tolerations"} & (set(after) - set(before)))


@pytest.mark.parametrize("name", sorted({check for check, _ in FIXED}))
def test_a_review_of_any_kind_and_wrapper_is_mended_as_by_the_check_but_where_nobody_may_write(
    name: str, load: Callable[..., Ruleset], judge: Callable[..., Decision]
) -> None:
    for case in (case for check, case in FIXED if check == name):
        rules, check = load(pack(name, case, fix=True), kinds=KINDS), build(CHECKS[name], case)
        for what, obj, _ in [("itself", whole(case), ""), *(everywhere(case) if alone(check, case) else ())]:
            known = facts(check, case)
            decision = judge(rules, obj, endpoint="mutate", facts=known)
            result, kind = apply(obj, list(decision.patch)), (group_of(obj["apiVersion"]), obj["kind"])
            wanted = mended(check, obj, case)
            kept = kind in UNTOUCHED or (kind == KNATIVE and refused(obj, wanted))
            assert result == (obj if kept else wanted), f"{case['name']}: in {what}"
            assert not decision.errors
            assert judge(rules, result, endpoint="mutate", facts=known).patch == (), f"{case['name']}: in {what}, again"
