"""Jobs end, and go away after they have ended.

## What it does
Judges each Job and CronJob by five rules, those named in `judge`:

- `ttl`: a Job says by `ttlSecondsAfterFinished` when it is deleted, at most `maxTtlSeconds` after it has finished.
  Also JobSets, Volcano Jobs, and OpenKruise's BroadcastJobs. The Jobs of a CronJob need none: its history limits delete
  them. Nor do Jobs with an annotation or label out of `removedBy`, by which another tool says that it deletes them
  itself: where Flux or Argo CD keeps a Job, one that deletes itself is made again, and runs again.
- `history`: a CronJob keeps at most `maxSuccessfulJobs` and `maxFailedJobs` of its Jobs. Where it says nothing, it
  keeps 3 and 1, as Kubernetes has it.
- `concurrency`: its `concurrencyPolicy` is one of `concurrencyPolicies`. Where it says nothing, that is `Allow`.
- `deadline`: its Jobs have `activeDeadlineSeconds`, at most what `maxDeadlineSeconds` says for `CronJob`; for Jobs by
  themselves, for those of a JobSet and for BroadcastJobs where it says so for `Job`. A deadline of the pod template
  counts too, for each try. Volcano Jobs have no other.
- `schedule`: its runs are at least `minMinutes` apart. The two closest count: `0,59 0,23 * * *` runs at 23:59 and again
  a minute later. Lists, ranges, steps, names, macros and `@every 90s` are read as Kubernetes reads them, and a schedule
  which it would refuse is passed over. Time zones make no difference. A suspended CronJob has no schedule to keep.

A CronJob of OpenKruise (AdvancedCronJob) is judged likewise, whether it makes Jobs or BroadcastJobs; `paused` suspends
it. A BroadcastJob has its TTL and its deadline in `completionPolicy`; one of the type `Never` waits for new nodes, and
has neither. The Jobs that a CronJob or JobSet made are not judged by themselves, nor are those made from one by hand
(`kubectl create job --from=cronjob/report`): its limits hold for them.

## Why
Finished Jobs stay in etcd, with their pods, until somebody deletes them. A Job a minute is 1,440 Jobs and pods a day,
and every list of pods carries them along. A run that hangs, under `Allow`, is joined by the next one, and the next.

## Example
```yaml
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "* * * * *"
  successfulJobsHistoryLimit: 100
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: report, image: "registry.example/shop/report:3.0.4"}]
```

## Use instead
```yaml
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "*/15 * * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      activeDeadlineSeconds: 900
      template:
        spec:
          restartPolicy: Never
          containers: [{name: report, image: "registry.example/shop/report:3.0.4"}]
```

## Parameters
- `judge`: which of the rules hold; default all: `[ttl, history, concurrency, deadline, schedule]`.
- `maxTtlSeconds` (default 604800, a week) and `defaultTtlSeconds` (default 86400, a day): the longest that a finished
  Job may stay, and what the fix sets where a Job says nothing.
- `removedBy`: annotations and labels, by name or glob, of tools that delete Jobs themselves; default the hooks of Helm
  and Argo CD, and what Argo CD and Flux keep: `helm.sh/hook`, `argocd.argoproj.io/hook`,
  `argocd.argoproj.io/tracking-id`, `kustomize.toolkit.fluxcd.io/name`.
- `maxSuccessfulJobs` and `maxFailedJobs` (default 5 each): how many finished Jobs a CronJob may keep.
- `concurrencyPolicies`: the policies that are let through; default `[Forbid, Replace]`. The fix sets the first.
- `maxDeadlineSeconds`: the longest deadline, for `CronJob` and for `Job`; default `{CronJob: 86400}`, a day. Where a
  kind is missing, its deadline is not judged.
- `minMinutes`: the fewest minutes between two runs, at most 1440; default 5.

```yaml
params:
  judge: [ttl, history, concurrency, deadline, schedule]
  maxTtlSeconds: 86400
  maxDeadlineSeconds: {CronJob: 3600, Job: 259200}
  minMinutes: 15
```

## Fix
Sets what is missing: a TTL, a deadline (the longest allowed), the first of `concurrencyPolicies`. Lowers a TTL and
history limits to what is allowed, for they concern finished Jobs alone. It leaves alone a deadline that is too long,
and a schedule: how long the work takes and how often it is needed, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import Spoken, Unspoken, globbed, lacking, literal, of_kind
from webhook.model import cron
from webhook.model import pointer as pointers
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.patch import Draft
from webhook.model.pods import Subject, listing, mapping
from webhook.model.record import record

RULES = ("ttl", "history", "concurrency", "deadline", "schedule")
POLICIES = ("Allow", "Forbid", "Replace")
_SECONDS: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}

ID = "job-cleanup"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "judge": {
            "type": "array",
            "items": {"enum": list(RULES)},
            "minItems": 1,
            "description": "Which rules hold.",
        },
        "maxTtlSeconds": {**_SECONDS, "minimum": 0, "description": "How long a finished Job may stay, in seconds."},
        "defaultTtlSeconds": {**_SECONDS, "minimum": 0, "description": "The TTL that the fix sets, in seconds."},
        "removedBy": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Annotations and labels, names or globs, of tools that delete Jobs themselves.",
        },
        "maxSuccessfulJobs": {
            "type": "integer",
            "minimum": 0,
            "description": "How many successful Jobs a CronJob may keep.",
        },
        "maxFailedJobs": {"type": "integer", "minimum": 0, "description": "How many failed Jobs a CronJob may keep."},
        "concurrencyPolicies": {
            "type": "array",
            "items": {"enum": list(POLICIES)},
            "minItems": 1,
            "description": "The policies that are let through; the fix sets the first.",
        },
        "maxDeadlineSeconds": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "CronJob": {**_SECONDS, "description": "That of the Jobs of CronJobs."},
                "Job": {**_SECONDS, "description": "That of Jobs by themselves."},
            },
            "description": "The longest deadline in seconds, for each kind whose deadline is judged.",
        },
        "minMinutes": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1440,
            "description": "The fewest minutes between two runs of a CronJob.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "judge": list(RULES),
    "maxTtlSeconds": 604800,
    "defaultTtlSeconds": 86400,
    "removedBy": [
        "helm.sh/hook",
        "argocd.argoproj.io/hook",
        "argocd.argoproj.io/tracking-id",
        "kustomize.toolkit.fluxcd.io/name",
    ],
    "maxSuccessfulJobs": 5,
    "maxFailedJobs": 5,
    "concurrencyPolicies": ["Forbid", "Replace"],
    "maxDeadlineSeconds": {"CronJob": 86400},
    "minMinutes": 5,
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("object",)

_BROADCAST = ("apps.kruise.io", "BroadcastJob")
_JOB_SET = ("jobset.x-k8s.io", "JobSet")
# where the Job stands in what makes Jobs by a schedule, below its spec; and which field keeps it from making any.
# OpenKruise's: apis/apps/v1beta1, AdvancedCronJobSpec
_CRONJOBS: Mapping[tuple[str, str], tuple[tuple[tuple[str, ...], ...], str]] = {
    ("batch", "CronJob"): ((("jobTemplate", "spec"),), "suspend"),
    ("apps.kruise.io", "AdvancedCronJob"): (
        (("template", "jobTemplate", "spec"), ("template", "broadcastJobTemplate", "spec")),
        "paused",
    ),
}
# their controllers know `ttlSecondsAfterFinished` as that of Jobs does
_WITH_TTL = frozenset({("batch", "Job"), _JOB_SET, ("batch.volcano.sh", "Job"), _BROADCAST})


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled; `deadlines` are the longest by kind."""

    judge: frozenset[str]
    ttl: int
    default_ttl: int
    removed_by: Globs
    limits: Mapping[str, int]
    policies: tuple[str, ...]
    deadlines: Mapping[str, int]
    minutes: int


@record(frozen=True, slots=True)
class Flaw:
    """One violation, with what the fix writes at its pointer; None where it leaves it alone."""

    violation: Violation
    mended: int | str | None = None


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError where the TTL that the fix sets would be a finding itself."""
    if params["defaultTtlSeconds"] > params["maxTtlSeconds"]:
        text = f"is {params['defaultTtlSeconds']}, more than maxTtlSeconds, {params['maxTtlSeconds']}"
        raise ParamError([(("defaultTtlSeconds",), text)])
    standard = Standard(
        judge=frozenset(params["judge"]),
        ttl=params["maxTtlSeconds"],
        default_ttl=params["defaultTtlSeconds"],
        removed_by=compile_globs(params["removedBy"]),
        limits={
            "successfulJobsHistoryLimit": params["maxSuccessfulJobs"],
            "failedJobsHistoryLimit": params["maxFailedJobs"],
        },
        policies=tuple(params["concurrencyPolicies"]),
        deadlines=dict(params["maxDeadlineSeconds"]),
        minutes=params["minMinutes"],
    )
    return Check(subject=partial(_judge, standard), fix_subject=partial(_fix, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL, without the schedule: Raises Unspoken for that."""
    judge = params["judge"]
    if "schedule" in judge:
        raise Unspoken(
            "how close the runs of a schedule come is a search over the minutes and days of a year, which CEL, without "
            "loops that carry a value, has no form for that anyone would read; without `schedule` in `judge` the rest "
            "is exported"
        )
    parts = []
    for (group, kind), (paths, _) in _CRONJOBS.items():
        own = _spoken_cron_job(params)
        own += [_spoken_deadline("CronJob", ("spec", *path), "broadcastJobTemplate" in path, params) for path in paths]
        parts += [_spoken_of(group, kind, text) for text in own if text]
    removed = globbed("k", compile_globs(params["removedBy"]))
    kept = f"!['annotations', 'labels'].exists(p, object.metadata[?p].orValue({{}}).exists(k, {removed}))"
    for group, kind in sorted(_WITH_TTL) if "ttl" in judge else ():
        policy, there = _spoken_policy("object.spec", (group, kind) == _BROADCAST)
        ttl = _spoken_value(policy, "ttlSecondsAfterFinished")
        text = _spoken_over(ttl, params["maxTtlSeconds"], "ttlSecondsAfterFinished", f"{ttl} == null || ")
        parts.append(_spoken_of(group, kind, text, f"{kept} && {there}"))
    for group, kind in (("batch", "Job"), _BROADCAST):
        parts.append(_spoken_of(group, kind, _spoken_deadline("Job", ("spec",), (group, kind) == _BROADCAST, params)))
    each = _spoken_deadline("Job", (), False, params, "j.?template.?spec")
    jobs = "object.spec.?replicatedJobs.orValue([])"
    parts.append(_spoken_of(*_JOB_SET, f"{jobs}.exists(j, {each}.size() > 0) ? ['deadline of a Job'] : []"))
    bad = " + ".join(parts)
    reason = "it writes beside the pods, on an update only what that changes itself, and no policy is written for that"
    return lacking((("bad", f"type(object.?spec.orValue(null)) != map ? [] : {bad}"),), pods=False, fix=reason)


def _spoken_of(group: str, kind: str, text: str, where: str = "true") -> str:
    return f"({of_kind(group, kind)} && {where} ? ({text}) : [])"


def _spoken_value(optional: str, key: str) -> str:
    return f"dyn({optional}.?{key}.orValue(null))"


def _spoken_over(value: str, most: int, key: str, missing: str = "") -> str:
    """Return in CEL a list: with a text where a whole number is above `most`, or what `missing` says is true."""
    return f"({missing}type({value}) == int && {value} > {most} ? ['{key} ' + string({value})] : [])"


def _spoken_policy(job: str, broadcast: bool) -> tuple[str, str]:
    """Return in CEL what says when a Job ends, and whether it ends at all, as `_policy` does."""
    if not broadcast:
        return job, "true"
    policy = f"{job}.?completionPolicy"
    ends = f"type(dyn({policy}.orValue({{}}))) == map && dyn({policy}.?type.orValue('')) != 'Never'"
    return policy, f"(dyn({policy}.orValue(null)) == null || {ends})"


def _spoken_cron_job(params: Mapping[str, Any]) -> list[str]:
    found = []
    if "history" in params["judge"]:
        limits = (("successfulJobsHistoryLimit", "maxSuccessfulJobs"), ("failedJobsHistoryLimit", "maxFailedJobs"))
        for key, most in limits:
            found.append(_spoken_over(_spoken_value("object.spec", key), params[most], key))
    refused = [one for one in POLICIES if one not in params["concurrencyPolicies"]]
    if "concurrency" in params["judge"] and refused:
        written = _spoken_value("object.spec", "concurrencyPolicy")
        policy = f"({written} in ['', null] ? 'Allow' : {written})"
        found.append(f"({policy} in {literal(refused)} ? ['concurrencyPolicy ' + {policy}] : [])")
    return found


def _spoken_deadline(
    kind: str, path: tuple[str, ...], broadcast: bool, params: Mapping[str, Any], job: str = ""
) -> str:
    """Return in CEL a list of what is wrong with the deadline of the Job at a path; empty where it is not judged."""
    most = params["maxDeadlineSeconds"].get(kind)
    if "deadline" not in params["judge"] or most is None:
        return "[]"
    job = job or "object" + "".join(f".?{key}" for key in path)
    policy, there = _spoken_policy(job, broadcast)
    key = "activeDeadlineSeconds"
    own, of_pod = _spoken_value(policy, key), _spoken_value(f"{job}.?template.?spec", key)
    seconds = f"({own} == null ? {of_pod} : {own})"
    text = _spoken_over(seconds, most, key, f"{seconds} == null || ")
    return f"(type(dyn({job}.orValue(null))) == map && {there} ? {text} : [])"


def _judge(standard: Standard, subject: Subject) -> Iterator[Violation]:
    return (flaw.violation for flaw in _flaws(standard, subject))


def _fix(standard: Standard, subject: Subject, draft: Draft) -> None:
    for flaw in list(_flaws(standard, subject)):
        if flaw.mended is not None:
            draft.put(flaw.violation.pointer, flaw.mended)


def _flaws(standard: Standard, subject: Subject) -> Iterator[Flaw]:
    kind = (subject.group, subject.kind)
    at, spec = f"{subject.pointer}/spec", subject.object.get("spec")
    if not isinstance(spec, dict):
        return
    if kind in _CRONJOBS:
        paths, pause = _CRONJOBS[kind]
        yield from _cron_job(standard, spec, at, spec.get(pause) is True)
        for path in paths:
            job = pointers.get(spec, path)
            if isinstance(job, dict):
                broadcast = "broadcastJobTemplate" in path
                yield from _deadline(standard, "CronJob", job, pointers.join(at, *path), broadcast, path[-2])
    if kind in _WITH_TTL and not _removed(standard, subject):
        yield from _ttl(standard, spec, at, kind == _BROADCAST)
    if kind in (("batch", "Job"), _BROADCAST):
        yield from _deadline(standard, "Job", spec, at, kind == _BROADCAST)
    if kind == _JOB_SET:
        for number, made in enumerate(listing(spec.get("replicatedJobs"))):
            job = pointers.get(made, ("template", "spec"))
            if isinstance(job, dict):
                name, where = mapping(made).get("name"), f"{at}/replicatedJobs/{number}/template/spec"
                yield from _deadline(standard, "Job", job, where, whose=f"{name}")


def _policy(job: Mapping[str, Any], at: str, broadcast: bool) -> tuple[Mapping[str, Any], str] | None:
    """Return what says when a Job ends and goes away, and where it stands; None for one that never ends."""
    if not broadcast:
        return job, at
    # apis/apps/v1beta1 of OpenKruise, CompletionPolicy: both fields "only work for Always type"
    policy = job.get("completionPolicy")
    never = not isinstance(policy, dict | None) or mapping(policy).get("type") == "Never"
    return None if never else (mapping(policy), f"{at}/completionPolicy")


def _cron_job(standard: Standard, spec: Mapping[str, Any], at: str, paused: bool) -> Iterator[Flaw]:
    if "history" in standard.judge:
        for key, most in standard.limits.items():
            limit = _whole(spec.get(key))
            if limit is not None and limit > most:
                yield Flaw(Violation(f"{at}/{key}", "too long a history", f"{key}: {limit}", f"at most {most}"), most)
    policy = spec.get("concurrencyPolicy") or "Allow"
    if "concurrency" in standard.judge and policy in POLICIES and policy not in standard.policies:
        written = "concurrencyPolicy: Allow" if "concurrencyPolicy" in spec else "no concurrencyPolicy, which is Allow"
        found = written if policy == "Allow" else f"concurrencyPolicy: {policy}"
        wanted = " or ".join(standard.policies)
        yield Flaw(Violation(f"{at}/concurrencyPolicy", "runs may overlap", found, wanted), standard.policies[0])
    schedule = spec.get("schedule")
    if "schedule" in standard.judge and isinstance(schedule, str) and not paused:
        apart = cron.shortest(schedule)
        if apart is not None and apart < standard.minutes:
            shown = f"{schedule!r}, runs {_minutes(apart)} apart"
            wanted = f"at least {_minutes(standard.minutes)} between two runs"
            yield Flaw(Violation(f"{at}/schedule", "runs too often", shown, wanted))


def _ttl(standard: Standard, job: Mapping[str, Any], at: str, broadcast: bool) -> Iterator[Flaw]:
    policy = _policy(job, at, broadcast)
    if "ttl" not in standard.judge or policy is None:
        return
    written, at = policy
    key, raw = "ttlSecondsAfterFinished", written.get("ttlSecondsAfterFinished")
    ttl, wanted = _whole(raw), f"at most {standard.ttl} seconds"
    if raw is None:
        flaw = Violation(f"{at}/{key}", "stays after it has finished", f"no {key}", wanted)
        yield Flaw(flaw, standard.default_ttl)
    elif ttl is not None and ttl > standard.ttl:
        flaw = Violation(f"{at}/{key}", "stays long after it has finished", f"{key}: {ttl}", wanted)
        yield Flaw(flaw, standard.ttl)


def _deadline(
    standard: Standard, kind: str, job: Mapping[str, Any], at: str, broadcast: bool = False, whose: str = ""
) -> Iterator[Flaw]:
    policy = _policy(job, at, broadcast)
    if "deadline" not in standard.judge or kind not in standard.deadlines or policy is None:
        return
    key, most = "activeDeadlineSeconds", standard.deadlines[kind]
    written, place = policy
    deadline, wanted = written.get(key), f"at most {most} seconds"
    of_pod = pointers.get(job, ("template", "spec", key))
    if deadline is None and of_pod is None:
        flaw = Violation(f"{place}/{key}", "no deadline", f"no {key}", wanted, same=(f"no {key} of {whose}",))
        yield Flaw(flaw, most)
        return
    where, raw = (f"{place}/{key}", deadline) if deadline is not None else (f"{at}/template/spec/{key}", of_pod)
    seconds = _whole(raw)
    if seconds is not None and seconds > most:
        found = f"{key}: {seconds}"
        yield Flaw(Violation(where, "too late a deadline", found, wanted, same=(f"{found} of {whose}",)))


def _removed(standard: Standard, subject: Subject) -> bool:
    meta = mapping(subject.object.get("metadata"))
    return any(standard.removed_by(key) for part in ("annotations", "labels") for key in mapping(meta.get(part)))


def _whole(value: object) -> int | None:
    """Return a whole number as JSON and YAML have them; what is none Kubernetes refuses by itself."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _minutes(value: Fraction | int) -> str:
    number = float(value)
    shown = f"{number:.2f}".rstrip("0").rstrip(".")
    return f"{shown} minute{'' if number == 1 else 's'}"
