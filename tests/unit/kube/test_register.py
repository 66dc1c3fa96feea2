"""Development registration: what is asked of the API server, and that nothing of it stays behind."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from webhook.errors import ConfigError
from webhook.kube import register
from webhook.kube.client import Access, Credential
from webhook.model.workloads import TABLE

API = "/apis/admissionregistration.k8s.io/v1"
VALIDATING = f"{API}/validatingwebhookconfigurations"
MUTATING = f"{API}/mutatingwebhookconfigurations"
EVERY = {endpoint: set(register.RESOURCES) for endpoint in ("validate", "advise", "mutate")}
URL = "https://127.0.0.1:8443"


def hooks(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {hook["name"].partition(".")[0]: hook for document in documents for hook in document["webhooks"]}


def matched(hook: dict[str, Any]) -> dict[str, list[str]]:
    """Return the operations by `group/resource` of a webhook."""
    return {
        f"{group}/{resource}": rule["operations"]
        for rule in hook["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_a_server_that_writes_down_what_it_is_asked_says_so_and_that_dry_runs_are_not() -> None:
    kinds = {endpoint: [("", "Pod")] for endpoint in ("validate", "advise", "mutate")}
    for side_effects, word in ((True, "NoneOnDryRun"), (False, "None")):
        made = register.configurations(URL, b"pem", kinds, side_effects=side_effects)
        assert [hook["sideEffects"] for each in made for hook in each["webhooks"]] == [word] * 3


def test_the_configurations_of_a_small_ruleset_are_these() -> None:
    kinds = {
        "validate": [("", "Pod"), ("apps", "Deployment"), ("argoproj.io", "Rollout")],
        "advise": [("", "PersistentVolume")],
        "mutate": [("", "Pod"), ("apps", "Deployment")],
    }
    validating, mutating = register.configurations(URL + "/", b"pem", kinds, excluded=["monitoring"])
    selector = {
        "matchExpressions": [
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-node-lease", "kube-system", "monitoring"],
            }
        ]
    }
    common = {
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "namespaceSelector": selector,
        "objectSelector": {},
        "sideEffects": "None",
    }
    bundle = base64.b64encode(b"pem").decode()

    def rule(group: str, version: str, resources: list[str], *operations: str) -> dict[str, Any]:
        return {
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": list(operations),
            "resources": resources,
            "scope": "*",
        }

    assert validating == {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {
            "name": "plimsoll-validating-dev",
            "labels": {"app.kubernetes.io/managed-by": "plimsoll-dev"},
        },
        "webhooks": [
            {
                **common,
                "name": "validate.plimsoll.dev",
                "clientConfig": {"caBundle": bundle, "url": f"{URL}/validate"},
                "timeoutSeconds": 3,
                "rules": [
                    rule("", "v1", ["pods", "pods/ephemeralcontainers", "pods/resize"], "CREATE", "UPDATE"),
                    rule("apps", "v1", ["deployments", "deployments/scale"], "CREATE", "UPDATE"),
                    rule("argoproj.io", "*", ["rollouts", "rollouts/scale"], "CREATE", "UPDATE"),
                ],
            },
            {
                **common,
                "name": "advise.plimsoll.dev",
                "clientConfig": {"caBundle": bundle, "url": f"{URL}/advise"},
                "timeoutSeconds": 3,
                "rules": [rule("", "v1", ["persistentvolumes"], "CREATE", "UPDATE")],
                "matchConditions": register.conditions(),
            },
        ],
    }
    assert mutating["kind"] == "MutatingWebhookConfiguration"
    assert mutating["metadata"]["name"] == "plimsoll-mutating-dev"
    assert mutating["webhooks"] == [
        {
            **common,
            "name": "mutate.plimsoll.dev",
            "clientConfig": {"caBundle": bundle, "url": f"{URL}/mutate"},
            "timeoutSeconds": 1,
            "reinvocationPolicy": "IfNeeded",
            "rules": [
                rule("", "v1", ["pods"], "CREATE"),
                rule("apps", "v1", ["deployments"], "CREATE", "UPDATE"),
            ],
        }
    ]


def test_no_rule_has_a_star_for_resources_groups_or_operations() -> None:
    found = hooks(register.configurations(URL, b"pem", EVERY))
    assert sorted(found) == ["advise", "mutate", "validate"]
    for hook in found.values():
        for rule in hook["rules"]:
            assert rule["operations"] in (["CREATE", "UPDATE"], ["CREATE"])
            assert not any("*" in text for text in rule["resources"] + rule["apiGroups"])


def test_every_webhook_is_ignore_with_short_timeouts_and_leaves_system_namespaces_out() -> None:
    for name, hook in hooks(register.configurations(URL, b"pem", EVERY)).items():
        assert hook["failurePolicy"] == "Ignore"
        assert hook["timeoutSeconds"] == (1 if name == "mutate" else 3)
        (expression,) = hook["namespaceSelector"]["matchExpressions"]
        assert {"kube-system", "kube-node-lease"} <= set(expression["values"])


def test_every_workload_kind_of_the_table_is_registered_with_what_scales_and_debugs_it() -> None:
    found = matched(hooks(register.configurations(URL, b"pem", EVERY))["validate"])
    for row in TABLE:
        assert f"{row.group}/{row.resource}" in found
    for scaled in ("/replicationcontrollers", "apps/deployments", "apps/replicasets", "apps/statefulsets"):
        assert f"{scaled}/scale" in found
    assert "apps/daemonsets/scale" not in found
    assert {"/pods/ephemeralcontainers", "/pods/resize"} <= set(found)
    assert not any(name.endswith(("/status", "/binding", "/eviction")) for name in found)


def test_fixes_come_at_create_only_for_pods_and_jobs_and_never_for_scale_or_foreign_wrappers() -> None:
    found = matched(hooks(register.configurations(URL, b"pem", EVERY))["mutate"])
    assert found["/pods"] == found["batch/jobs"] == ["CREATE"]
    assert found["apps/deployments"] == ["CREATE", "UPDATE"]
    assert [name for name in found if name.count("/") > 1] == []
    assert "work.karmada.io/works" not in found
    assert "apps.clusternet.io/manifests" not in found


def test_leases_events_and_nodes_are_never_matched() -> None:
    kinds = [
        ("", "Node"),
        ("", "Event"),
        ("coordination.k8s.io", "Lease"),
        ("authentication.k8s.io", "TokenReview"),
    ]
    assert register.configurations(URL, b"pem", {"validate": kinds}) == []


def test_scale_by_itself_means_everything_that_scales() -> None:
    (document,) = register.configurations(URL, b"pem", {"validate": [("autoscaling", "Scale")]})
    found = matched(document["webhooks"][0])
    assert "apps/deployments/scale" in found
    assert "apps/deployments" not in found


def test_only_advise_leaves_callers_out_and_only_by_who_they_are() -> None:
    found = hooks(register.configurations(URL, b"pem", EVERY))
    assert [name for name, hook in found.items() if "matchConditions" in hook] == ["advise"]
    for condition in register.conditions('it"s\\me'):
        assert "request.userInfo." in condition["expression"]
        assert "object" not in condition["expression"]
    assert register.conditions('it"s\\me')[-1]["expression"] == r'request.userInfo.username != "it\"s\\me"'


def test_names_end_in_dev_and_webhook_names_are_domains() -> None:
    documents = register.configurations(URL, b"pem", EVERY)
    assert all(document["metadata"]["name"].endswith("-dev") for document in documents)
    assert sorted(hook["name"] for hook in hooks(documents).values()) == [
        "advise.plimsoll.dev",
        "mutate.plimsoll.dev",
        "validate.plimsoll.dev",
    ]


def test_a_kind_whose_plural_is_not_known_is_told_and_one_that_the_cluster_lacks_is_left_out() -> None:
    kinds = {"advise": [("acme.io", "Widget"), ("", "ConfigMap"), ("acme.io", "Gadget")]}
    with pytest.raises(ConfigError) as caught:
        register.configurations(URL, b"pem", kinds)
    assert [problem.text.split()[3] for problem in caught.value.problems] == [
        "acme.io/Gadget",
        "acme.io/Widget",
    ]
    resources = {**register.RESOURCES, ("acme.io", "Widget"): "widgets", ("acme.io", "Gadget"): ""}
    (document,) = register.configurations(URL, b"pem", kinds, resources=resources)
    assert set(matched(document["webhooks"][0])) == {"/configmaps", "acme.io/widgets"}


@pytest.mark.parametrize("url", ["http://a:1", "a:1", "https://", "https://u@a", "https://a/?x", "https://a/#x"])
def test_a_url_that_an_api_server_cannot_call_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="can't be called by an API server"):
        register.configurations(url, b"pem", EVERY)


def access(url: str, **more: Any) -> Access:
    return Access(url, lambda refused: Credential(), **more)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost", "[::ffff:127.0.0.1]"])
def test_an_api_server_on_loopback_is_let_through(host: str) -> None:
    register.guard(access(f"https://{host}:6443"))


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("https://10.0.0.1:6443", {}, "is not on this machine (10.0.0.1 is 10.0.0.1); development webhooks"),
        ("https://[2001:db8::1]:6443", {}, "is not on this machine"),
        ("https://[::ffff:10.0.0.1]", {}, "is not on this machine"),
        ("https://nowhere.invalid", {}, "nowhere.invalid doesn't resolve"),
        ("https://127.0.0.1", {"proxy": "http://proxy:3128"}, "is reached through the proxy"),
    ],
)
def test_an_api_server_elsewhere_needs_yes(url: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        register.guard(access(url, **more))
    assert said in str(caught.value)
    assert "give --yes" in str(caught.value)
    register.guard(access(url, **more), yes=True)


class Cluster:
    """The configurations of an API server, kept as it keeps them."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.held: dict[str, dict[str, Any]] = {}
        self.version = 0
        for path in (VALIDATING, MUTATING):
            api.answers[path] = self.collection
            for name in ("plimsoll-validating-dev", "plimsoll-mutating-dev", "plimsoll-old-dev"):
                api.answers[f"{path}/{name}"] = self.one

    def collection(self, handler: Any) -> tuple[int, Any]:
        path = handler.path.partition("?")[0]
        if handler.command == "POST":
            return self.store(f"{path}/{self.api.bodies[-1]['metadata']['name']}", self.api.bodies[-1])
        assert "labelSelector=app.kubernetes.io/managed-by=plimsoll-dev" in unquote(handler.path)
        label = "app.kubernetes.io/managed-by"
        return 200, {
            "items": [
                value
                for held, value in self.held.items()
                if held.startswith(path + "/") and value["metadata"].get("labels", {}).get(label) == "plimsoll-dev"
            ]
        }

    def one(self, handler: Any) -> tuple[int, Any]:
        path, body = handler.path, self.api.bodies[-1]
        if path not in self.held:
            return 404, {"reason": "NotFound"}
        if handler.command == "PUT":
            if body["metadata"]["resourceVersion"] != self.held[path]["metadata"]["resourceVersion"]:
                return 409, {"reason": "Conflict", "message": "has been modified"}
            return self.store(path, body)
        if handler.command == "DELETE":
            assert body["preconditions"]["uid"] == self.held[path]["metadata"]["uid"]
            del self.held[path]
            return 200, {}
        return 200, self.held[path]

    def store(self, path: str, value: dict[str, Any]) -> tuple[int, Any]:
        self.version += 1
        stamped = value["metadata"] | {"uid": path, "resourceVersion": str(self.version)}
        self.held[path] = value | {"metadata": stamped}
        return 200, self.held[path]

    def writes(self) -> list[str]:
        found = [call for call in self.api.calls if not call.startswith("GET")]
        self.api.calls.clear()
        return found


@pytest.fixture
def cluster(api: Any) -> Cluster:
    return Cluster(api)


@pytest.fixture
def documents() -> list[dict[str, Any]]:
    return register.configurations(URL, b"pem", EVERY)


def test_registering_writes_once_and_a_second_time_nothing(
    api: Any, cluster: Cluster, documents: list[dict[str, Any]]
) -> None:
    client = api.client()
    assert register.register(client, documents) == [
        "registered ValidatingWebhookConfiguration plimsoll-validating-dev",
        "registered MutatingWebhookConfiguration plimsoll-mutating-dev",
    ]
    assert cluster.writes() == [f"POST {VALIDATING}", f"POST {MUTATING}"]
    assert all("as it should be" in line for line in register.register(client, documents))
    assert cluster.writes() == []


def test_a_difference_is_written_over(api: Any, cluster: Cluster, documents: list[dict[str, Any]]) -> None:
    client = api.client()
    register.register(client, documents)
    cluster.held[f"{VALIDATING}/plimsoll-validating-dev"]["webhooks"][0]["failurePolicy"] = "Fail"
    cluster.writes()
    wanted = register.configurations(URL, b"pem", EVERY)
    assert "renewed ValidatingWebhookConfiguration plimsoll-validating-dev" in register.register(client, wanted)
    assert cluster.writes() == [f"PUT {VALIDATING}/plimsoll-validating-dev"]
    assert cluster.held[f"{VALIDATING}/plimsoll-validating-dev"]["webhooks"] == wanted[0]["webhooks"]


def test_what_an_earlier_run_left_is_cleared_and_what_is_not_ours_is_not_touched(api: Any, cluster: Cluster) -> None:
    ours = {"labels": {"app.kubernetes.io/managed-by": "plimsoll-dev"}}
    cluster.store(f"{VALIDATING}/plimsoll-old-dev", {"metadata": {"name": "plimsoll-old-dev", **ours}})
    cluster.store(f"{MUTATING}/plimsoll-mutating-dev", {"metadata": {"name": "plimsoll-mutating-dev", **ours}})
    cluster.store(f"{MUTATING}/other", {"metadata": {"name": "other"}})
    only = register.configurations(URL, b"pem", {"validate": [("", "Pod")]})
    lines = register.register(api.client(), only)
    assert len([line for line in lines if line.startswith("cleared ")]) == 2
    assert sorted(cluster.held) == [f"{MUTATING}/other", f"{VALIDATING}/plimsoll-validating-dev"]


def test_a_configuration_of_our_name_that_is_not_ours_is_refused(
    api: Any, cluster: Cluster, documents: list[dict[str, Any]]
) -> None:
    cluster.store(f"{VALIDATING}/plimsoll-validating-dev", {"metadata": {"name": "plimsoll-validating-dev"}})
    with pytest.raises(ConfigError, match="is there and not ours"):
        register.register(api.client(), documents)
    assert cluster.writes() == []


def test_a_user_who_may_not_is_told_so_and_an_api_server_that_is_gone_too(
    api: Any, documents: list[dict[str, Any]]
) -> None:
    api.answers[VALIDATING] = 403, {"message": "cannot list resource"}
    with pytest.raises(ConfigError, match="cannot list resource; the kubeconfig's user may not write"):
        register.register(api.client(), documents)
    with pytest.raises(ConfigError, match="no answer: .*refused"):
        register.register(api.client(url="https://127.0.0.1:1"), documents)


def test_taking_away_leaves_what_another_server_has_written_since(
    api: Any, cluster: Cluster, documents: list[dict[str, Any]]
) -> None:
    client = api.client()
    register.register(client, documents)
    register.register(client, register.configurations("https://127.0.0.1:9443", b"pem", {"validate": [("", "Pod")]}))
    assert register.unregister(client, documents) == [
        "left ValidatingWebhookConfiguration plimsoll-validating-dev: another server has changed it"
    ]
    assert list(cluster.held) == [f"{VALIDATING}/plimsoll-validating-dev"]


def test_a_block_registers_for_as_long_as_it_runs_even_where_it_fails(
    api: Any, cluster: Cluster, documents: list[dict[str, Any]]
) -> None:
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), register.registered(api.client(), documents, said.append):
        assert len(cluster.held) == 2
        raise ZeroDivisionError
    assert cluster.held == {}
    assert [line.split()[0] for line in said] == ["registered", "registered", "took", "took"]


def test_a_start_that_breaks_off_half_way_leaves_nothing(
    api: Any, cluster: Cluster, documents: list[dict[str, Any]]
) -> None:
    api.answers[f"{MUTATING}/plimsoll-mutating-dev"] = lambda handler: (
        (500, {"message": "no"})
        if not cluster.held.get("asked") and cluster.held.update({"asked": {}}) is None
        else (404, {})
    )
    with (
        pytest.raises(ConfigError, match="500"),
        register.registered(api.client(), documents, lambda line: None),
    ):
        raise AssertionError("the block must not run")
    assert set(cluster.held) == {"asked"}


def test_an_api_server_that_is_gone_at_the_end_is_said_and_not_raised(
    api: Any, cluster: Cluster, documents: list[dict[str, Any]]
) -> None:
    said: list[str] = []
    with register.registered(api.client(), documents, said.append):
        api.answers[f"{VALIDATING}/plimsoll-validating-dev"] = 503, {"message": "gone"}
    assert "stay until the next start" in said[-1]


PROGRAM = """
import os, sys, time
from webhook.kube import register
from webhook.kube.client import Access, Client, Credential
url, ca, how = sys.argv[1:]
access = Access(url, lambda refused: Credential("t"), ca=open(ca, "rb").read())
documents = register.configurations("https://127.0.0.1:8443", b"pem", {"validate": [("", "Pod")]})
with register.registered(Client(access), documents, lambda line: print(line, flush=True)):
    if how == "fork":
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
        print("forked", flush=True)
    time.sleep(30)
"""


def start(api: Any, tmp_path: Path, how: str) -> subprocess.Popen[str]:
    (tmp_path / "ca.pem").write_bytes(api.ca)
    command = [sys.executable, "-c", PROGRAM, api.url, str(tmp_path / "ca.pem"), how]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_to_stop_takes_its_configurations_away(
    signum: int, api: Any, cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with start(api, tmp_path, "") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("registered ")
        assert len(cluster.held) == 1
        process.send_signal(signum)
        assert process.stdout.read() == "took away ValidatingWebhookConfiguration plimsoll-validating-dev\n"
    assert cluster.held == {}


def test_a_forked_worker_that_ends_takes_nothing_away(api: Any, cluster: Cluster, tmp_path: Path) -> None:
    with start(api, tmp_path, "fork") as process:
        assert process.stdout is not None
        assert [process.stdout.readline().split()[0] for _ in range(2)] == ["registered", "forked"]
        assert len(cluster.held) == 1
        process.terminate()
        assert process.stdout.read().startswith("took away ")
    assert cluster.held == {}
