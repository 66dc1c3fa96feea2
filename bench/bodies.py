"""Bodies as an API server sends them, made by code: the same bytes at every run.

The shapes are real ones: what the API server adds to a pod (defaults, the token's volume, tolerations, managedFields)
is there, in its words and its order.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

UID = "7c1a3e5d-0b2f-4a68-9d37-5e8f1c2b4a69"
"""The uid of every body; the load generator writes another in its place for each review."""
TIME = "2026-11-02T09:14:31Z"
NAMESPACE = "shop-07"
DEFAULTED = frozenset(
    {
        *("defaultMode", "dnsPolicy", "failureThreshold", "periodSeconds", "preemptionPolicy", "priority", "protocol"),
        *("restartPolicy", "schedulerName", "scheme", "serviceAccount", "successThreshold", "terminationMessagePath"),
        *("terminationMessagePolicy", "timeoutSeconds", "tolerations"),
    }
)
"""Fields of a pod that the API server fills in, or an admission plugin of its own."""
LABELS = {
    "app.kubernetes.io/name": "web",
    "app.kubernetes.io/part-of": "shop",
    "app.kubernetes.io/version": "1.4.2",
    "pod-template-hash": "6d4cf56db6",
}


def pod() -> Object:
    """Return a pod that keeps every shipped pack, as an API server shows it to a validating webhook."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-6d4cf56db6-x7k2p",
            "generateName": "web-6d4cf56db6-",
            "namespace": NAMESPACE,
            "uid": "0f6f2f0e-6f5c-4c39-8a55-3d1c8f4b7a10",
            "creationTimestamp": TIME,
            "labels": LABELS,
            "annotations": {"plimsoll.dev/owner": "#shop"},
        },
        "spec": spec(),
    }


def spec(containers: int = 1, variables: int = 4) -> Object:
    """Return the spec of a pod with so many containers, each with so many variables."""
    return {
        "volumes": [
            {"name": "logs", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "config", "configMap": {"name": "web", "defaultMode": 420}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
        "containers": [container(number, variables) for number in range(containers)],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 60,
        "dnsPolicy": "ClusterFirst",
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "serviceAccountName": "web",
        "serviceAccount": "web",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsUser": 10001,
            "runAsNonRoot": True,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "schedulerName": "default-scheduler",
        "tolerations": [
            {
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            },
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            },
        ],
        "priority": 0,
        "enableServiceLinks": False,
        "preemptionPolicy": "PreemptLowerPriority",
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
    }


def container(number: int, variables: int) -> Object:
    """Return a container that keeps every shipped pack; the first is called web."""
    name = "web" if number == 0 else f"worker-{number}"
    probe = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    return {
        "name": name,
        "image": f"registry.example/shop/{name}:1.4.2",
        "args": ["--config=/etc/web/config.yaml", "--listen=:8080"],
        "ports": [
            {"name": "http", "containerPort": 8080 + number, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9090 + number, "protocol": "TCP"},
        ],
        "env": [
            {"name": "LOG_PATH", "value": "/var/log/app"},
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "web-db", "key": "password"}}},
            *[
                {"name": f"SHOP_SETTING_{index:03}", "value": f"https://settings.shop.example/v1/{name}/{index}"}
                for index in range(variables - 2)
            ],
        ],
        "resources": {
            "limits": {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
            "requests": {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
        },
        "volumeMounts": [
            {"name": "logs", "mountPath": "/var/log/app"},
            {"name": "config", "readOnly": True, "mountPath": "/etc/web"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "http", "scheme": "HTTP"}, **probe},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTP"}, **probe},
        "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
        },
    }


def bare() -> Object:
    """Return the pod without what the API server fills in, about as small as a pod that keeps all packs can be."""
    found = pod()
    found["spec"] = _without(found["spec"])
    return found


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(inner) for key, inner in value.items() if key not in DEFAULTED}
    return [_without(inner) for inner in value] if isinstance(value, list) else value


def broken() -> Object:
    """Return the small pod with each of the four core rules broken once."""
    found = bare()
    web = found["spec"]["containers"][0]
    web["image"] = "quay.io/someone/web:1.4.2"
    web["resources"]["limits"]["memory"] = "1Gi"
    web["volumeMounts"] = [mount for mount in web["volumeMounts"] if mount["name"] != "logs"]
    found["spec"]["volumes"].append({"name": "etc", "hostPath": {"path": "/etc", "type": ""}})
    return found


def managed(obj: Object, manager: str = "kube-controller-manager") -> Object:
    """Return the object with the managedFields that the API server writes for one that set all of it."""
    found = copy.deepcopy(obj)
    found["metadata"]["managedFields"] = [
        {
            "manager": name,
            "operation": "Update",
            "apiVersion": "v1",
            "time": TIME,
            "fieldsType": "FieldsV1",
            "fieldsV1": {f"f:{part}": _fields(obj[part]) for part in parts},
        }
        for name, parts in ((manager, ("metadata", "spec")), ("kubelet", ("metadata",)))
    ]
    return found


def _fields(value: Any) -> Object:
    """Return the set of fields below a value, as `fieldsV1` has it."""
    if isinstance(value, Mapping):
        return {f"f:{key}": _fields(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and all(isinstance(inner, Mapping) for inner in value):
        return {_key(inner): {".": {}, **_fields(inner)} for inner in value}
    return {}


def _key(item: Mapping[str, Any]) -> str:
    # what list items are known by: x-kubernetes-list-map-keys of the API
    names = next((n for n in (("containerPort", "protocol"), ("mountPath",), ("name",)) if n[0] in item), ())
    return "k:" + json.dumps({name: item[name] for name in names}, separators=(",", ":"))


def large() -> Object:
    """Return a pod of ten containers with many variables, with managedFields."""
    found = pod()
    found["spec"] = spec(containers=10, variables=34)
    return managed(found)


def deployment(replicas: int, version: str) -> Object:
    """Return the Deployment of the pod, at a number of replicas."""
    template = pod()
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key != "pod-template-hash"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": NAMESPACE,
            "uid": "5a9d5c1e-2b7e-4a0e-9c53-7f1d2c3b4a59",
            "resourceVersion": version,
            "generation": replicas,
            "creationTimestamp": TIME,
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "7", **template["metadata"]["annotations"]},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
            "template": {
                "metadata": {
                    "creationTimestamp": None,
                    "labels": labels,
                    "annotations": template["metadata"]["annotations"],
                },
                "spec": template["spec"],
            },
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "minReadySeconds": 10,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
    }


def review(obj: Object, old: Object | None = None) -> bytes:
    """Return the body of the review of an object's creation, or of its update where there is an old one."""
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = {"group": group, "version": version, "kind": obj["kind"]}
    resource = {"group": group, "version": version, "resource": obj["kind"].lower() + "s"}
    operation = "CREATE" if old is None else "UPDATE"
    document = {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": UID,
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": obj["metadata"]["name"],
            "namespace": obj["metadata"]["namespace"],
            "operation": operation,
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "d2c0a2a5-0f1e-4a43-9f62-6b5a4c3d2e1f",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=3f1c9a52-7b1e-4f0d-8a63-2d5e6f708192"]},
            },
            "object": obj,
            "oldObject": old,
            "dryRun": False,
            "options": {
                "kind": f"{operation.title()}Options",
                "apiVersion": "meta.k8s.io/v1",
                "fieldManager": "kube-controller-manager",
            },
        },
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def bodies() -> dict[str, bytes]:
    """Return every body by its name."""
    return {
        "small": review(bare()),
        "managed": review(managed(pod())),
        "large": review(large()),
        "broken": review(broken()),
        "update": review(deployment(5, "48213"), deployment(4, "48107")),
    }
