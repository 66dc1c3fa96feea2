"""Objects that tests apply: the smallest that the API server takes, with what a test wants to see in them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

EQUAL: Object = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
UNEQUAL: Object = {
    "requests": {"cpu": "100m", "memory": "64Mi"},
    "limits": {"cpu": "100m", "memory": "128Mi"},
}


def container(name: str = "app", **fields: Any) -> Object:
    """A container; image and resources are such that no rule of the tests' packs finds anything."""
    return {"name": name, "image": "registry.example/shop/app:1.2.3", "resources": EQUAL, **fields}


def pod_spec(*containers: Object, **fields: Any) -> Object:
    """The spec of a pod with these containers, or with one good one."""
    return {"containers": list(containers) or [container()], **fields}


def template(spec: Object | None = None, name: str = "web") -> Object:
    """A pod template labelled for the selector of `selecting`."""
    return {"metadata": {"labels": {"app": name}}, "spec": spec or pod_spec()}


def pod(name: str, spec: Object | None = None, **metadata: Any) -> Object:
    """A Pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": spec or pod_spec(),
    }


def deployment(name: str = "web", spec: Object | None = None, replicas: int = 1, **fields: Any) -> Object:
    """A Deployment of a pod spec."""
    return _selecting("Deployment", name, spec, replicas=replicas, **fields)


def replica_set(name: str = "web", spec: Object | None = None, replicas: int = 1) -> Object:
    """A ReplicaSet that nobody owns."""
    return _selecting("ReplicaSet", name, spec, replicas=replicas)


def stateful_set(name: str = "web", spec: Object | None = None, replicas: int = 1) -> Object:
    """A StatefulSet."""
    return _selecting("StatefulSet", name, spec, replicas=replicas, serviceName=name)


def daemon_set(name: str = "web", spec: Object | None = None) -> Object:
    """A DaemonSet."""
    return _selecting("DaemonSet", name, spec)


def job(name: str = "once", spec: Object | None = None) -> Object:
    """A Job."""
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": _job_spec(spec)}


def cron_job(name: str = "nightly", spec: Object | None = None) -> Object:
    """A CronJob that does not run by itself while tests do: on the 30th of February."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": "0 0 30 2 *", "jobTemplate": {"spec": _job_spec(spec)}},
    }


def _job_spec(spec: Object | None) -> Object:
    return {"template": {"spec": {"restartPolicy": "Never", **(spec or pod_spec())}}}


def _selecting(kind: str, name: str, spec: Object | None, **fields: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(spec, name), **fields},
    }
