"""Which fields CEL reads that cannot be there; nothing is said of what is not certain."""

from __future__ import annotations

import pytest

from webhook.advice.cel import table
from webhook.model.kinds import OTHERS
from webhook.model.workloads import KINDS
from webhook.packs.fields import Types, absent, absent_below, gives, names

TABLE = table()
DEPLOYMENT = names(TABLE, frozenset({("apps", "Deployment")}))


def said(text: str, **variables: Types) -> list[str]:
    """Return the paths that are said not to be there."""
    return [one.partition(": ")[0] for one in absent(TABLE, text, DEPLOYMENT, variables)]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("object.spec.replcas > 1", "object.spec.replcas"),
        ("oldObject.spec.replcas > 1", "oldObject.spec.replcas"),
        ("object.spec.?replcas.orValue(1) >= 2", "object.spec.replcas"),
        ("has(object.spec.template.spec.hostNetwrok)", "object.spec.template.spec.hostNetwrok"),
        ("object['spec']['replcas'] == 1", "object.spec.replcas"),
        ("object.metadata.label.size() > 0", "object.metadata.label"),
        ("pod.spec.template == 1", "pod.spec.template"),
        ("pod.status == 1", "pod.status"),
        ("containers.all(c, c.imagee != '')", "c.imagee"),
        ("containers.all(i, c, c.imagee != '')", "c.imagee"),
        ("containers[0].imagee == ''", "containers[].imagee"),
        ("containers.filter(c, has(c.ports)).all(d, d.portz.size() > 0)", "d.portz"),
        ("pod.spec.containers.all(c, c.?securityContext.?runAsNonRot.orValue(false))", "c.securityContext.runAsNonRot"),
        ("pod.spec.containers.all(c, c.ports.exists(p, p.hostPrt > 0))", "p.hostPrt"),
        ("pod.spec.?securityContext.optMap(s, s.runAsUsr).orValue(0) == 0", "s.runAsUsr"),
        ("namespaceObject.metadata.lable == {}", "namespaceObject.metadata.lable"),
        ("[1, object.spec.foo].size() == 2", "object.spec.foo"),
        ("{'a': object.spec.foo}.a == 2", "object.spec.foo"),
        ("size(object.spec.foo) == 2 && true", "object.spec.foo"),
        ("variables.spec.replcas == 1", "variables.spec.replcas"),
    ],
)
def test_a_field_that_cannot_be_there_is_named(text: str, path: str) -> None:
    assert said(text, spec=frozenset({"apps.v1.DeploymentSpec"})) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "object.spec.replicas > 1 && object.status.readyReplicas > 0",
        "object.metadata.labels.anything == '' && object.metadata.annotations['a/b'] == ''",
        "object.spec.selector.matchLabels.app == ''",
        "request.userInfo.usernam == '' && values.x.y == 1",
        "containers.map(c, c.image).all(i, i.whatever == 1)",
        "containers.map(c, {'a': c.image}).all(i, i.whatever == 1)",
        "pod.spec.volumes.all(v, has(v.emptyDir) || v.hostPath.path != '/')",
        "containers.all(object, object.image != '')",
        "dyn(object).spec.replcas == 1",
        "'object.spec.replcas' == '' // object.spec.replcas",
        "containers.all(c, c.resources.limits.cpu == '1')",
        "containers.all(c, has(c.targetContainerName) || true)",  # ephemeral containers have it
        "variables.unknown.anything == 1",
        "object.spec.template.spec.containers.all(c, c.env.all(e, e.valueFrom.secretKeyRef.name != ''))",
        "object.spec.strategy.rollingUpdate.maxSurge == '1'",
        "(object.spec.replicas > 1 ? object.spec : object.metadata).anything == 1",
    ],
)
def test_nothing_is_said_of_what_may_be_there(text: str) -> None:
    assert said(text) == []


def test_a_field_that_one_of_the_kinds_has_may_be_there() -> None:
    both = names(TABLE, frozenset({("apps", "Deployment"), ("apps", "StatefulSet")}))
    assert absent(TABLE, "object.spec.serviceName == ''", both, {}) == []
    [text] = absent(TABLE, "object.spec.servicName == ''", both, {})
    assert "in DeploymentSpec and StatefulSetSpec; did you mean serviceName?" in text


def test_of_kinds_that_kubernetes_does_not_have_nothing_is_said() -> None:
    known = names(TABLE, frozenset({("apps", "Deployment"), ("argoproj.io", "Rollout")}))
    assert absent(TABLE, "object.spec.whatever == 1", known, {}) == []
    assert absent(TABLE, "pod.spec.whatever == 1", known, {})


def test_a_field_that_is_named_twice_is_said_once() -> None:
    assert said("has(object.spec.foo) && object.spec.foo == 1") == ["object.spec.foo"]


def test_the_sentence_names_the_version_and_the_field_that_was_meant() -> None:
    [text] = absent(TABLE, "object.spec.replcas == 1", DEPLOYMENT, {})
    assert text.startswith(
        "object.spec.replcas: Kubernetes 1.37 has no field replcas in DeploymentSpec; did you mean replicas? it has: "
    )


def test_a_variable_has_the_type_of_its_path_and_of_nothing_else() -> None:
    assert gives(TABLE, "object.spec.template.spec.containers", DEPLOYMENT, {}) == {"[core.v1.Container"}
    assert gives(TABLE, "containers.filter(c, true)", DEPLOYMENT, {}) == DEPLOYMENT["containers"]
    assert gives(TABLE, "object.spec.replicas + 1", DEPLOYMENT, {}) == frozenset()
    assert gives(TABLE, "", DEPLOYMENT, {}) == frozenset()


@pytest.mark.parametrize(
    "text", ["object.", "object[", "containers.all(", "a.b(c,", ")", ".x", "object.?", "has(object.spec"]
)
def test_a_text_that_is_no_cel_brings_nothing_down(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("spec/dnsConfig", False),
        ("spec/dnsConfg", True),
        ("spec/containers/*/imagePullPolicy", False),
        ("spec/containers/-/imagePulPolicy", True),
        ("spec/containers/0/env/*/value", False),
        ("metadata/annotations/anything", False),
        ("metadata/annotation/anything", True),
        ("spec/dnsConfig/options/-", False),
    ],
)
def test_the_path_of_a_patch_is_read_from_the_pod(path: str, wrong: bool) -> None:
    assert (absent_below(TABLE, path.split("/")) is not None) is wrong


def test_the_table_has_every_kind_of_kubernetes_that_rules_may_name() -> None:
    ours = {(group, kind) for group, kind in (*KINDS, *OTHERS) if "." not in group.removesuffix(".k8s.io")}
    assert {f"{group}/{kind}".lstrip("/") for group, kind in ours} <= set(TABLE.kinds)


def test_every_type_that_the_table_leads_to_is_in_it() -> None:
    fields = [kind.lstrip("[{") for one in TABLE.types.values() for kind in one.values()]
    kinds = [one for some in TABLE.kinds.values() for one in some]
    assert {name for name in (*fields, *kinds) if name} <= set(TABLE.types)
