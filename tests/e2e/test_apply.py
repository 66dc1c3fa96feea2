"""`kubectl apply` against a pack that refuses: who gets in, who does not, and what is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from lab import packs, workloads
from lab.controlplane import ControlPlane
from lab.golden import DIRECTORY, NAMES, Golden
from lab.kubectl import Kubectl
from lab.plimsoll import ROOT, Server
from lab.process import eventually

Serve = Callable[..., Server]
Guard = Callable[..., None]
Begin = Callable[[], Kubectl]

BAD = workloads.pod_spec(
    workloads.container("app", image="nginx", resources=workloads.UNEQUAL),
    workloads.container("log-shipper", image="registry.example.evil.io/shipper:1"),
    initContainers=[workloads.container("migrate", resources={"limits": {"memory": "1Gi"}})],
)


def test_a_good_deployment_is_created_without_a_word(strict: Begin) -> None:
    answer = strict().apply(workloads.deployment()).must()
    assert (answer.out, answer.err) == ("deployment.apps/web created\n", "")


def test_a_bad_deployment_is_refused_with_all_its_findings_in_one_message(strict: Begin, golden: Golden) -> None:
    kubectl = strict()
    said = kubectl.apply(workloads.deployment(spec=BAD)).refused()
    golden.check("refused-deployment", said.replace(kubectl.namespace, "<namespace>"))
    assert kubectl.all("deployments") == []


def test_the_shipped_pack_says_what_to_write_instead(
    kubectl: Kubectl, serve: Serve, guard: Guard, golden: Golden
) -> None:
    guard(kubectl, serve(ROOT / "policies"), "validate")
    sample = yaml.safe_load((ROOT / "samples" / "deployment-bad.yaml").read_text())
    del sample["metadata"]["namespace"]
    said = kubectl.apply(sample).refused()
    golden.check("refused-sample", said.replace(kubectl.namespace, "<namespace>"))


def test_a_server_side_dry_run_answers_the_same(strict: Begin) -> None:
    kubectl = strict()
    real = kubectl.apply(workloads.deployment(spec=BAD))
    dry = kubectl.apply(workloads.deployment(spec=BAD), options=("--dry-run=server",))
    assert (dry.code, dry.out, dry.err) == (real.code, real.out, real.err)
    good = kubectl.apply(workloads.deployment(), options=("--dry-run=server",)).must()
    assert (good.out, good.err) == ("deployment.apps/web created (server dry run)\n", "")
    assert kubectl.all("deployments") == []


@pytest.mark.parametrize(
    "command",
    [
        ("create", "deployment", "web", "--image=nginx"),
        ("run", "web", "--image=nginx"),
        ("create", "job", "once", "--image=nginx"),
        ("create", "cronjob", "nightly", "--image=nginx", "--schedule=0 0 * * *"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_way_to_create_is_judged(strict: Begin, command: tuple[str, ...]) -> None:
    assert "approved-image" in strict()(*command).refused()


def test_a_server_side_apply_is_judged(strict: Begin) -> None:
    kubectl = strict()
    assert "approved-image" in kubectl.apply(workloads.deployment(spec=BAD), options=("--server-side",)).refused()


def test_a_change_for_the_worse_is_refused_and_changes_nothing(strict: Begin) -> None:
    kubectl = strict()
    kubectl.apply(workloads.deployment()).must()
    before = kubectl.get("deployment/web")
    assert "nginx" in kubectl("set", "image", "deployment/web", "app=nginx").refused()
    assert "requests-equal-limits" in kubectl("set", "resources", "deployment/web", "--limits=memory=1Gi").refused()
    assert kubectl.get("deployment/web")["spec"] == before["spec"]


def test_the_refusal_names_its_causes_for_programs(strict: Begin, cluster: ControlPlane) -> None:
    kubectl = strict()
    kubectl.apply(workloads.deployment(spec=BAD)).refused()
    event, *_ = cluster.audit(
        lambda event: (
            event["objectRef"].get("namespace") == kubectl.namespace and event["objectRef"]["resource"] == "deployments"
        )
    )
    status = event["responseStatus"]
    assert (status["code"], status["reason"], status["details"]["name"]) == (403, "Forbidden", "web")
    causes = {(cause["reason"], cause["field"]) for cause in status["details"]["causes"]}
    assert causes == {
        ("approved-image", "/spec/template/spec/containers/0/image"),
        ("approved-image", "/spec/template/spec/containers/1/image"),
        ("requests-equal-limits", "/spec/template/spec/containers/0/resources"),
        ("requests-equal-limits", "/spec/template/spec/initContainers/0/resources"),
    }


def test_rules_that_warn_let_it_in_and_say_so_on_stderr(
    kubectl: Kubectl, serve: Serve, guard: Guard, golden: Golden
) -> None:
    guard(kubectl, serve(packs.WARNING), "advise")
    answer = kubectl.apply(workloads.deployment(spec=BAD)).must()
    assert answer.out == "deployment.apps/web created\n"
    assert [f"Warning: {warning}" for warning in answer.warnings] == answer.err.splitlines()
    assert all(len(warning) <= 120 for warning in answer.warnings)
    golden.check("warned-deployment", answer.err)


def test_a_user_who_may_deploy_is_judged_like_the_administrator(strict: Begin, cluster: ControlPlane) -> None:
    kubectl = strict()
    kubectl("create", "rolebinding", "deployers", "--clusterrole=edit", "--user=jane").must()
    jane = cluster.user("jane").within(kubectl.namespace)
    eventually(lambda: jane("get", "deployments").code == 0, what="the role to act")
    assert "approved-image" in jane.apply(workloads.deployment(spec=BAD)).refused()
    jane.apply(workloads.deployment()).must()


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == {f"{name}.txt" for name in NAMES}
