"""What is let through at once, and what is not, whatever it looks like."""

from __future__ import annotations

import copy

import pytest

NEVER = """
rules:
  - {name: pods, expression: "pod.spec.containers.size() > 9", action: deny, existing: deny}
"""
READS = """
rules:
  - {name: asks, expression: "request.operation != 'UPDATE'", action: deny, existing: deny}
"""
STRATEGY = """
rules:
  - {name: strategy, expression: "has(object.spec.strategy)", action: deny, existing: deny}
"""


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_other_operations_pass(judge, deployment, operation):
    assert judge(NEVER, deployment(), operation=operation).allowed


def test_null_objects_pass(judge, deployment):
    assert judge(NEVER, deployment(), object=None, operation="CREATE").allowed


@pytest.mark.parametrize("subresource", ["status", "binding", "eviction", "exec", "attach", "log", "token", "unheard"])
def test_unknown_subresources_pass(judge, pod, subresource):
    assert judge(NEVER, pod(), old=pod(name="b"), subResource=subresource).allowed


@pytest.mark.parametrize("subresource", ["ephemeralcontainers", "resize"])
def test_subresources_that_change_containers_are_reviewed(judge, pod, subresource):
    changed = pod(image="evil")
    assert not judge(NEVER, changed, old=pod(), subResource=subresource).allowed


def test_an_update_that_changes_nothing_that_the_rules_read_passes(judge, deployment):
    assert judge(NEVER, deployment(metadata={"labels": {"a": "b"}}), old=deployment()).allowed
    assert judge(NEVER, deployment(spec={"replicas": 3}), old=deployment()).allowed
    assert not judge(NEVER, deployment(pod={"dnsPolicy": "Default"}), old=deployment()).allowed


def test_a_rule_on_the_object_runs_where_the_object_changes(judge, deployment):
    assert not judge(STRATEGY, deployment(spec={"replicas": 3}), old=deployment()).allowed


@pytest.mark.parametrize(
    "metadata",
    [
        {"finalizers": ["a/b"]},
        {"finalizers": ["a/b"], "deletionTimestamp": "2026-11-23T00:00:00Z"},
    ],
)
@pytest.mark.parametrize("packs", [NEVER, READS, STRATEGY])
def test_updates_of_finalizers_pass_even_rules_that_always_run(judge, deployment, metadata, packs):
    assert judge(packs, deployment(), old=deployment(metadata=metadata)).allowed


def test_updates_of_status_pass_even_rules_that_always_run(judge, deployment):
    new = deployment()
    new["status"] = {"replicas": 1}
    assert judge(READS, new, old=deployment()).allowed


def test_rules_that_read_the_request_run_even_where_nothing_changed(judge, deployment):
    assert not judge(READS, deployment(), old=deployment()).allowed


def test_bookkeeping_of_the_api_server_is_no_change(judge, deployment):
    new = deployment(metadata={"resourceVersion": "2", "generation": 2, "managedFields": [{}]})
    assert judge(STRATEGY, new, old=deployment(metadata={"resourceVersion": "1"})).allowed


def test_being_deleted_is_no_exemption(judge, deployment):
    dying = {"deletionTimestamp": "2026-11-23T00:00:00Z", "finalizers": ["a/b"]}
    changed = deployment(image="evil", metadata=dying)
    assert not judge(NEVER, changed, old=deployment(metadata=dying)).allowed
    assert not judge(NEVER, deployment(metadata=dying)).allowed


def test_a_change_of_finalizers_hides_no_other_change(judge, deployment):
    changed = deployment(image="evil", metadata={"finalizers": []})
    assert not judge(NEVER, changed, old=deployment(metadata={"finalizers": ["a/b"]})).allowed


MIRROR = {"annotations": {"kubernetes.io/config.mirror": "abc"}}
NODE = {"username": "system:node:n1", "groups": ["system:nodes", "system:authenticated"]}


def test_mirror_pods_of_a_nodes_own_user_are_left_alone(judge, pod):
    assert judge(NEVER, pod(metadata=MIRROR), userInfo=NODE).allowed


@pytest.mark.parametrize(
    "user",
    [
        {"username": "jane", "groups": ["system:authenticated"]},
        {"username": "system:node:n1", "groups": ["system:authenticated"]},
        {"username": "jane", "groups": ["system:nodes"]},
    ],
)
def test_a_forged_mirror_pod_is_judged(judge, pod, user):
    assert not judge(NEVER, pod(metadata=MIRROR), userInfo=user).allowed


def test_a_node_without_the_annotation_is_judged(judge, pod):
    assert not judge(NEVER, pod(), userInfo=NODE).allowed


def test_what_an_update_leaves_out_of_an_objects_kind_is_compared_whole(judge, pod):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}, "data": {}}
    rule = """
    rules:
      - {name: c, expression: "object.data.size() == 0", action: deny, existing: deny, match: {kinds: [ConfigMap]}}
    """
    changed = copy.deepcopy(config)
    changed["data"] = {"a": "b"}
    assert not judge(rule, changed, old=config).allowed


CLASS = "rules: [{name: state, check: no-local-state, action: deny}]"
LOGS = "rules: [{name: logs, check: log-path, action: deny, existing: deny}]"


def claiming(name, storage_class):
    mount = {"name": "logs", "mountPath": "/var/log/app"}
    template = {"spec": {"containers": [{"name": "web", "image": "web:1", "volumeMounts": [mount]}]}}
    claim = {"metadata": {"name": name}, "spec": {"storageClassName": storage_class}}
    meta = {"name": "web", "namespace": "shop"}
    spec = {"replicas": 1, "template": template, "volumeClaimTemplates": [claim]}
    return {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "metadata": meta, "spec": spec}


def test_claim_templates_that_change_alone_are_judged(judge):
    """OpenKruise takes such updates (validateCloneSetUpdate), and makes the claims of new pods by them."""
    old = claiming("logs", "ceph")
    assert judge(LOGS, old).allowed
    assert judge(CLASS, old).allowed
    assert not judge(CLASS, claiming("logs", "local-path"), old=old).allowed
    assert not judge(LOGS, claiming("data", "ceph"), old=old).allowed
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert judge(LOGS, labelled, old=old).allowed


NAMESPACES = "rules: [{name: vm, check: not-a-vm, action: deny, existing: deny}]"
EXACT = 'rules: [{name: exact, expression: "pod.spec.?hostNetwork != optional.of(dyn(true))", action: deny}]'


@pytest.mark.parametrize("rule", [NAMESPACES, EXACT])
def test_a_number_that_python_takes_for_true_is_another_value(judge, deployment, rule):
    """A wrapper keeps what Kubernetes would refuse; what it is mended to is judged. A Deployment is read into types."""

    def work(host_network):
        meta = {"name": "shop", "namespace": "cluster1"}
        manifests = [deployment(pod={"hostNetwork": host_network})]
        return {
            "apiVersion": "work.open-cluster-management.io/v1",
            "kind": "ManifestWork",
            "metadata": meta,
            "spec": {"workload": {"manifests": manifests}},
        }

    for number in (1, 1.0):
        assert judge(rule, work(number)).allowed
        assert not judge(rule, work(True), old=work(number)).allowed
