"""The table of workload kinds: where each has its pods, or the manifests that it wraps. A new kind is a row here."""

from __future__ import annotations

from collections.abc import Iterable

from webhook.model.record import record

Fields = tuple[tuple[tuple[str, ...], frozenset[str]], ...]


@record(frozen=True, slots=True)
class Row:
    """One workload kind: where its pod templates stand, or where the manifests stand that it wraps.

    `paths` are tuples of keys; `*` stands for every element of a list. `resource` is the plural name
    in the API. `owners` are the kinds (`group/Kind`) whose controllers make objects of this kind. `daemons` are those
    of the paths whose pods run on every node. `fields` are the only ones that the kind's own webhook takes, by the
    path of keys above them in a template; empty where it takes all.
    """

    group: str
    kind: str
    resource: str
    paths: tuple[tuple[str, ...], ...]
    wraps: bool = False
    owners: tuple[str, ...] = ()
    daemons: tuple[tuple[str, ...], ...] = ()
    fields: Fields = ()

    def takes(self, path: tuple[str, ...]) -> bool:
        """Say whether the kind's own webhook takes a field, by its keys from the template on (`spec`, `affinity`)."""
        for above, fields in self.fields:
            below = path[len(above) :]
            same = all(wanted in ("*", key) for wanted, key in zip(above, path, strict=False))
            if below and same and below[0] not in fields:
                return False
        return True


_TEMPLATE = (("spec", "template"),)
_BROADCAST = ("spec", "template", "broadcastJobTemplate", "spec", "template")
# what Knative takes without a flag in its ConfigMap config-features: PodSpecMask and ContainerMask in
# pkg/apis/serving/fieldmask.go of knative/serving, with what RevisionSpec adds
_KNATIVE: Fields = (
    (
        ("spec",),
        frozenset(
            {
                "automountServiceAccountToken",
                "containerConcurrency",
                "containers",
                "enableServiceLinks",
                "idleTimeoutSeconds",
                "imagePullSecrets",
                "responseStartTimeoutSeconds",
                "serviceAccountName",
                "timeoutSeconds",
                "volumes",
            }
        ),
    ),
    (
        ("spec", "containers", "*"),
        frozenset(
            {
                "args",
                "command",
                "env",
                "envFrom",
                "image",
                "imagePullPolicy",
                "livenessProbe",
                "name",
                "ports",
                "readinessProbe",
                "resources",
                "securityContext",
                "startupProbe",
                "terminationMessagePath",
                "terminationMessagePolicy",
                "volumeMounts",
                "workingDir",
            }
        ),
    ),
)
TABLE: tuple[Row, ...] = (
    Row("", "Pod", "pods", ((),)),
    Row("", "PodTemplate", "podtemplates", (("template",),)),
    Row("", "ReplicationController", "replicationcontrollers", _TEMPLATE),
    Row("apps", "ReplicaSet", "replicasets", _TEMPLATE, owners=("apps/Deployment", "argoproj.io/Rollout")),
    Row("apps", "Deployment", "deployments", _TEMPLATE),
    Row("apps", "StatefulSet", "statefulsets", _TEMPLATE),
    Row("apps", "DaemonSet", "daemonsets", _TEMPLATE, daemons=_TEMPLATE),
    Row(
        "batch",
        "Job",
        "jobs",
        _TEMPLATE,
        owners=("batch/CronJob", "jobset.x-k8s.io/JobSet", "apps.kruise.io/AdvancedCronJob"),
    ),
    Row("batch", "CronJob", "cronjobs", (("spec", "jobTemplate", "spec", "template"),)),
    Row("argoproj.io", "Rollout", "rollouts", _TEMPLATE),
    Row("apps.kruise.io", "CloneSet", "clonesets", _TEMPLATE),
    Row("apps.kruise.io", "StatefulSet", "statefulsets", _TEMPLATE),
    Row("apps.kruise.io", "DaemonSet", "daemonsets", _TEMPLATE, daemons=_TEMPLATE),
    Row(
        "apps.kruise.io",
        "BroadcastJob",
        "broadcastjobs",
        _TEMPLATE,
        owners=("apps.kruise.io/AdvancedCronJob",),
        daemons=_TEMPLATE,
    ),
    Row(
        "apps.kruise.io",
        "AdvancedCronJob",
        "advancedcronjobs",
        (("spec", "template", "jobTemplate", "spec", "template"), _BROADCAST),
        daemons=(_BROADCAST,),
    ),
    Row("serving.knative.dev", "Service", "services", _TEMPLATE, fields=_KNATIVE),
    Row("jobset.x-k8s.io", "JobSet", "jobsets", (("spec", "replicatedJobs", "*", "template", "spec", "template"),)),
    Row("batch.volcano.sh", "Job", "jobs", (("spec", "tasks", "*", "template"),)),
    Row(
        "work.open-cluster-management.io",
        "ManifestWork",
        "manifestworks",
        (("spec", "workload", "manifests", "*"),),
        wraps=True,
    ),
    Row(
        "work.open-cluster-management.io",
        "ManifestWorkReplicaSet",
        "manifestworkreplicasets",
        (("spec", "manifestWorkTemplate", "workload", "manifests", "*"),),
        wraps=True,
    ),
    Row("work.karmada.io", "Work", "works", (("spec", "workload", "manifests", "*"),), wraps=True),
    Row("apps.clusternet.io", "Manifest", "manifests", (("template",),), wraps=True),
)

Kinds = dict[tuple[str, str], Row]
"""Workload kinds by (group, kind); a dict, as `mapping` has it, and nobody's to write to."""


def table(extra: Iterable[Row] = ()) -> Kinds:
    """Return the table of workload kinds by (group, kind), with rows that a company adds."""
    return {(row.group, row.kind): row for row in (*TABLE, *extra)}


def row(text: str) -> Row:
    """Return the row that a company writes in its settings: `group/Kind:resource:path.of.the.template`.

    `acme.example/Service:services:spec.template`; `*` in the path stands for every element of a list. Raises
    ValueError with a sentence.
    """
    parts = text.split(":")
    group, _, kind = parts[0].rpartition("/")
    path = tuple(parts[-1].split("."))
    if len(parts) != 3 or not all(parts) or not group or not kind or not all(path):
        raise ValueError(
            f"{text!r} is no workload kind; wanted group/Kind:resource:path of its pod template, "
            "such as acme.example/Service:services:spec.template"
        )
    return Row(group, kind, parts[1], (path,))


KINDS: Kinds = table()
