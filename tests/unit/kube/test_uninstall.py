"""What of a cluster is Plimsoll's, and what only looks like it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from webhook.cli.uninstall import REST, WEBHOOKS
from webhook.kube.uninstall import Uninstaller
from webhook.ports import Remnant, Unknown

PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
OURS = {"app.kubernetes.io/name": "plimsoll"}
Object = dict[str, Any]


def configuration(*hooks: str, labels: Object | None = None, name: str = "plimsoll") -> Object:
    metadata = {"name": name, "uid": f"uid-{name}", **({"labels": labels} if labels else {})}
    return {"metadata": metadata, "webhooks": [{"name": hook} for hook in hooks]}


@pytest.fixture
def cluster(api: Any) -> Iterator[Uninstaller]:
    yield Uninstaller(api.client())


@pytest.mark.parametrize(
    ("held", "stays"),
    [
        (configuration("validate.plimsoll.dev", "advise.plimsoll.dev", labels=OURS), ""),
        (configuration("validate.plimsoll.dev", labels={"app.kubernetes.io/managed-by": "plimsoll-dev"}), ""),
        (configuration("validate.plimsoll.dev"), "without the label app.kubernetes.io/name=plimsoll"),
        (configuration("validate.plimsoll.dev", "evil.example", labels=OURS), "also holds evil.example"),
        (configuration("evil.example", labels=OURS), "no webhook of ours, but evil.example"),
        (configuration("validate.plimsoll.dev.evil.example", labels=OURS), "no webhook of ours"),
        (configuration("plimsoll.dev", labels=OURS), "no webhook of ours"),
        (configuration(labels=OURS), "no webhook of ours, but none at all"),
        ({"metadata": {"name": "x", "uid": "u", "labels": OURS}, "webhooks": None}, "none at all"),
    ],
)  # fmt: skip
def test_only_a_configuration_with_our_label_and_nothing_but_our_webhooks_goes(
    api: Any, cluster: Uninstaller, held: Object, stays: str
) -> None:
    api.answers[PATH] = (200, {"items": [held]})
    [found] = cluster.find("ValidatingWebhookConfiguration")
    assert stays in found.stays
    assert bool(found.stays) is bool(stays)
    assert not any(method.startswith("DELETE") for method in api.calls)


def test_configurations_of_others_are_not_even_named(api: Any, cluster: Uninstaller) -> None:
    others = [configuration("evil.example"), configuration("x.example", labels={"app.kubernetes.io/name": "other"})]
    api.answers[PATH] = (200, {"items": others})
    assert cluster.find("ValidatingWebhookConfiguration") == ()


def test_exactly_the_object_that_was_found_is_deleted(api: Any, cluster: Uninstaller) -> None:
    api.answers[PATH] = (200, {"items": [configuration("validate.plimsoll.dev", labels=OURS)]})
    [found] = cluster.find("ValidatingWebhookConfiguration")
    api.answers[f"{PATH}/plimsoll"] = (200, {"kind": "Status"})
    assert cluster.remove(found)
    assert api.calls[-1] == f"DELETE {PATH}/plimsoll"
    assert api.bodies[-1]["preconditions"] == {"uid": "uid-plimsoll"}


@pytest.mark.parametrize(("status", "text"), [(403, "403"), (409, "run this again"), (500, "500")])
def test_what_cannot_be_deleted_is_said(api: Any, cluster: Uninstaller, status: int, text: str) -> None:
    api.answers[f"{PATH}/plimsoll"] = (status, {"kind": "Status", "message": "no"})
    with pytest.raises(Unknown, match=text):
        cluster.remove(Remnant("ValidatingWebhookConfiguration", "", "plimsoll", "u"))


def test_what_has_gone_meanwhile_is_no_mistake(cluster: Uninstaller) -> None:
    assert not cluster.remove(Remnant("Deployment", "plimsoll", "plimsoll", "u"))


def test_what_is_helms_is_left_to_helm(api: Any, cluster: Uninstaller) -> None:
    notes = {"meta.helm.sh/release-name": "line", "meta.helm.sh/release-namespace": "guard"}
    helms = {**OURS, "app.kubernetes.io/managed-by": "Helm"}
    items = [
        {"metadata": {"name": "b", "namespace": "guard", "uid": "1", "labels": helms, "annotations": notes}},
        {"metadata": {"name": "a", "namespace": "guard", "uid": "2", "labels": OURS}},
    ]
    api.answers["/apis/apps/v1/deployments"] = (200, {"items": items})
    own, helm = cluster.find("Deployment")
    assert (own.name, own.stays) == ("a", "")
    assert helm.stays.endswith("helm uninstall line --namespace guard")
    assert "labelSelector=app.kubernetes.io%2Fname%3Dplimsoll" in api.calls[-1]


def test_the_packs_are_counted(api: Any, cluster: Uninstaller) -> None:
    assert cluster.find("CustomResourceDefinition") == ()
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rulepacks.plimsoll.dev"
    api.answers[path] = (200, {"metadata": {"name": "rulepacks.plimsoll.dev", "uid": "u"}})
    api.answers["/apis/plimsoll.dev/v1/rulepacks"] = (200, {"items": [{}]})
    [found] = cluster.find("CustomResourceDefinition")
    assert (found.about, found.stays) == ("with 1 RulePack in it", "")


def test_every_kind_that_the_command_asks_for_can_be_looked_for(api: Any, cluster: Uninstaller) -> None:
    for kind in (*WEBHOOKS, *REST):
        with pytest.raises(Unknown, match="404"):  # this API server has none of these
            cluster.find(kind)
