"""What the chart gives, with each set of values: with both Helms, and by its own standards."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import CHART, ROOT, SETS, VALUES, Helm, Object

from webhook import settings, sources
from webhook.checks import cel
from webhook.cli.judge import judge
from webhook.cli.objects import read
from webhook.errors import ConfigError
from webhook.packs.compile import ruleset
from webhook.registry import config as registries

Rendered = Callable[..., list[Object]]
One = Callable[..., Object]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)

INHERENT = {"all-on": {"api-list-scope"}}
"""What a set of values cannot keep: an account that lists Pods over the cluster was asked for in so many words."""


@pytest.fixture(scope="session")
def shipped() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sources.shipped()]


@pytest.mark.parametrize("values", SETS)
def test_helm_has_nothing_to_say_against_it(helm: Helm, values: str) -> None:
    done = helm("lint", "--strict", CHART, "-f", VALUES / f"{values}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.findall(r"^\[(?:WARNING|ERROR|INFO)\].*$", done.stdout, re.MULTILINE)
    assert said == ["[INFO] Chart.yaml: icon is recommended"]


@pytest.mark.parametrize("values", SETS)
def test_both_helms_give_the_same(helm: Helm, rendered: Rendered, values: str) -> None:
    def key(one: Object) -> str:
        return f"{one['kind']} {one['metadata']['name']}"

    mine = [each for each in yaml.safe_load_all(helm.text(values)) if each]
    assert sorted(mine, key=key) == sorted(rendered(values), key=key)


@pytest.mark.parametrize("values", SETS)
def test_it_keeps_every_shipped_pack_in_force(
    values: str, rendered: Rendered, shipped: list[tuple[str, str]], tmp_path: Path
) -> None:
    own = (ROOT / "charts" / "plain" / "namespace.yaml").read_text()
    (tmp_path / "chart.yaml").write_text(yaml.safe_dump_all([*rendered(values), yaml.safe_load(own)]))
    found = read([str(tmp_path)])
    judged, _ = judge(ruleset(shipped, mode="enforce"), found.manifests, lambda: NOW)
    assert not found.problems
    name = "guard" if values == "all-off" else "plimsoll"
    assert {f"Deployment plimsoll/{name}", "Namespace plimsoll/plimsoll"} <= {one.review.title for one in judged}
    findings = [found for one in judged for found in one.decision.findings]
    assert {found.about.rule for found in findings} <= INHERENT.get(values, set()), findings
    assert "pod-security-restricted" not in {found.about.pack for found in findings}
    assert [one.review.title for one in judged if one.mended.patch] == []


@pytest.mark.parametrize("values", SETS)
def test_every_flag_is_a_setting_of_the_server_with_a_value_that_it_takes(values: str, one: One) -> None:
    (container,) = one("Deployment", values)["spec"]["template"]["spec"]["containers"]
    command, *args = container["args"]
    assert command == "serve"
    given: dict[str, Any] = {}
    known = {option.flag[2:]: option for option in settings.options()}
    for arg in args:
        name, equals, value = arg.removeprefix("--").partition("=")
        assert name in known, f"the server has no --{name}"
        assert bool(equals) != known[name].switch, arg
        key = known[name].name
        given[key] = [*given.get(key, []), value] if known[name].many else value if equals else True
    try:
        settings.read(given, {})
    except ConfigError as error:
        pytest.fail(str(error.problems))


@pytest.mark.parametrize("values", SETS)
def test_the_packs_that_it_gives_load(
    values: str, rendered: Rendered, one: One, shipped: list[tuple[str, str]]
) -> None:
    (container,) = one("Deployment", values)["spec"]["template"]["spec"]["containers"]
    names = [arg.partition("shipped:")[2] for arg in container["args"] if "shipped:" in arg]
    texts = [pack for pack in shipped if pack[0].removesuffix(".yaml") in names]
    for document in rendered(values):
        if document["kind"] == "ConfigMap" and document["metadata"]["name"].endswith("-packs"):
            texts += sorted(document["data"].items())
    found = ruleset(texts, bases=shipped)
    if values == "packs-of-the-cluster":
        assert not any(found.concerned().values())
    else:
        assert found.rules


def test_the_registries_file_that_it_gives_loads(one: One, tmp_path: Path) -> None:
    text = one("ConfigMap", "all-on", name="plimsoll-registries")["data"]["registries.yaml"]
    (tmp_path / "config.json").write_text('{"auths": {}}')
    text = text.replace("/credentials", str(tmp_path))
    assert registries.load("registries.yaml", text, tmp_path).registries


def test_it_is_for_kubernetes_from_1_30_on(helm: Helm) -> None:
    assert helm.text("defaults", "--kube-version", "1.30.0") == helm.text("defaults", "--kube-version", "1.37.0")
    assert "incompatible with Kubernetes v1.29.0" in helm.refused("--kube-version", "1.29.0")


@pytest.mark.parametrize("page", ["docs/cluster.md", "charts/plimsoll/README.md"])
def test_the_values_that_a_page_shows_give_packs_that_load(
    page: str, helm: Helm, shipped: list[tuple[str, str]], tmp_path: Path
) -> None:
    text = (ROOT / page).read_text()
    (block,) = re.findall(r"^```\n(packs:\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "values.yaml").write_text(block)
    documents = list(yaml.safe_load_all(helm.text("defaults", "-f", str(tmp_path / "values.yaml"))))
    (packs,) = [each for each in documents if each and each["metadata"]["name"] == "plimsoll-packs"]
    found = ruleset([*shipped, *packs["data"].items()], bases=shipped)
    assert "acme" in {pack.name for pack in found.packs}
    assert "containerization" not in {pack.name for pack in found.packs}  # a base judges no more by itself


@pytest.mark.parametrize("page", ["docs/cluster.md", "charts/plimsoll/README.md"])
def test_the_values_that_a_page_sets_are_taken(page: str, helm: Helm) -> None:
    found = re.findall(r"--set (\S+)", (ROOT / page).read_text())
    assert found
    for value in found:
        helm.text("defaults", "--set", value)


# -- what stops nobody --------------------------------------------------------------------------------------------


def test_as_it_comes_it_is_a_dry_run_that_lets_workloads_through(rendered: Rendered, one: One) -> None:
    (container,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--dry-run" in container["args"]
    assert {hook["failurePolicy"] for hook in hooks(rendered())} == {"Ignore"}


def test_once_it_enforces_it_fails_closed_where_packs_can_deny_and_nowhere_else(rendered: Rendered, one: One) -> None:
    (container,) = one("Deployment", "enforcing")["spec"]["template"]["spec"]["containers"]
    assert "--dry-run" not in container["args"]
    assert {hook["name"]: (hook["failurePolicy"], hook["timeoutSeconds"]) for hook in hooks(rendered("enforcing"))} == {
        "validate.plimsoll.dev": ("Fail", 3),
        "advise.plimsoll.dev": ("Ignore", 3),
        "packs.plimsoll.dev": ("Ignore", 5),
        "mutate.plimsoll.dev": ("Ignore", 1),
    }


def hooks(documents: list[Object]) -> list[Object]:
    return [hook for document in documents for hook in document.get("webhooks", ())]


@pytest.mark.parametrize("values", SETS)
def test_the_webhooks_keep_their_duties(values: str, rendered: Rendered) -> None:
    found = hooks(rendered(values))
    assert len(found) in (3, 4)
    for hook in found:
        service = hook["clientConfig"]["service"]
        endpoint = hook["name"].partition(".")[0]
        assert (service["namespace"], service["path"], service["port"]) == ("plimsoll", f"/{endpoint}", 443)
        assert (hook["matchPolicy"], hook["admissionReviewVersions"]) == ("Equivalent", ["v1"])
        writes = values == "all-on" and endpoint != "packs"  # Events and recordings
        assert hook["sideEffects"] == ("NoneOnDryRun" if writes else "None")
        for condition in hook.get("matchConditions", ()):
            assert cel.compile(condition["expression"], wants="bool").reads <= {"request", "object"}
        if endpoint == "packs":
            assert hook["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "plimsoll"}}
            continue
        # the server fills them in; an entry without rules is never called
        assert "rules" not in hook
        assert ("caBundle" in hook["clientConfig"]) == (values == "own-certificate")
        assert not {"namespaceSelector", "objectSelector", "matchConditions"} & set(hook)


@pytest.mark.parametrize("values", SETS)
def test_the_emergency_exit_finds_every_configuration_however_the_release_is_called(
    values: str, rendered: Rendered
) -> None:
    options = ("--set", "labels.app\\.kubernetes\\.io/name=other", "--set", "nameOverride=other")
    for document in [*rendered(values), *rendered(values, *options)]:
        assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "plimsoll"


def test_the_crd_is_the_one_of_the_code_and_stays_when_the_release_goes(one: One, rendered: Rendered) -> None:
    crd = one("CustomResourceDefinition")
    written = yaml.safe_load((CHART / "files" / "crd-rulepack.yaml").read_text())
    assert crd["spec"] == written["spec"]
    assert crd["metadata"]["name"] == written["metadata"]["name"] == "rulepacks.plimsoll.dev"
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    goes = one("CustomResourceDefinition", "defaults", "--set", "crds.keep=false")
    assert "helm.sh/resource-policy" not in goes["metadata"].get("annotations", {})
    assert not [each for each in rendered("all-off") if each["kind"] == "CustomResourceDefinition"]


# -- the pod ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", SETS)
def test_the_pod_is_as_its_own_standards_want_it(values: str, one: One) -> None:
    deployment = one("Deployment", values)
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"] == container["resources"]["limits"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"admission": 8443, "health": 8080}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "health"
    topologies = {each["topologyKey"] for each in spec["topologySpreadConstraints"]}
    assert topologies == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    drain = next(int(arg.partition("=")[2]) for arg in container["args"] if arg.startswith("--drain="))
    assert spec["terminationGracePeriodSeconds"] >= max(60, drain + 30)


@pytest.mark.parametrize("values", SETS)
def test_every_mount_has_its_volume_and_what_is_written_has_a_limit(values: str, one: One) -> None:
    spec = one("Deployment", values)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    room = 0
    for mount in container["volumeMounts"]:
        scratch = volumes[mount["name"]].get("emptyDir")
        assert bool(scratch) != mount.get("readOnly", False)
        if scratch and "medium" not in scratch:
            room += int(scratch["sizeLimit"].removesuffix("Mi"))
    storage = int(container["resources"]["limits"]["ephemeral-storage"].removesuffix("Mi"))
    assert storage - room == 256  # for logs; a pod over its limit is evicted


def test_by_a_digest_the_image_is_named_exactly(one: One) -> None:
    (container,) = one("Deployment", "enforcing")["spec"]["template"]["spec"]["containers"]
    assert re.fullmatch(r"registry\.example/platform/plimsoll:[\d.]+@sha256:[0-9a-f]{64}", container["image"])


def test_there_are_three_replicas_of_which_two_stay_and_critical_priority_with_its_quota(one: One) -> None:
    deployment, budget = one("Deployment"), one("PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 3
    assert budget["spec"]["minAvailable"] == 2
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    assert deployment["spec"]["template"]["spec"]["priorityClassName"] == "system-cluster-critical"
    (scope,) = one("ResourceQuota")["spec"]["scopeSelector"]["matchExpressions"]
    assert scope["values"] == ["system-cluster-critical"]


def test_one_replica_has_no_budget(rendered: Rendered) -> None:
    assert not {"PodDisruptionBudget", "ResourceQuota", "NetworkPolicy"} & {
        each["kind"] for each in rendered("all-off")
    }


def test_the_certificate_comes_from_where_the_values_say(one: One, rendered: Rendered) -> None:
    def where(values: str) -> tuple[set[str], set[str]]:
        spec = one("Deployment", values)["spec"]["template"]["spec"]
        args = {arg for arg in spec["containers"][0]["args"] if "certificate" in arg or "key" in arg}
        return args, {each["secret"]["secretName"] for each in spec["volumes"] if each["name"] == "tls"}

    files = {"--certificate=/tls/tls.crt", "--key=/tls/tls.key"}
    assert where("defaults") == ({"--certificate-secret=plimsoll-tls"}, set())
    assert where("cert-manager") == (files, {"plimsoll-tls"})
    assert where("own-certificate") == (files, {"acme-tls"})
    secrets = [each["metadata"]["name"] for each in rendered() if each["kind"] == "Secret"]
    assert secrets == ["plimsoll-tls", "plimsoll-tls-ca"]
    assert not any("data" in each for each in rendered() if each["kind"] == "Secret")
    for values in ("cert-manager", "own-certificate"):
        assert not [each for each in rendered(values) if each["kind"] == "Secret"]


def test_cert_managers_certificate_is_for_the_service_and_signed_by_an_authority_that_stays(
    one: One, rendered: Rendered
) -> None:
    leaf = one("Certificate", "cert-manager", name="plimsoll")["spec"]
    assert leaf["secretName"] == "plimsoll-tls"
    assert "plimsoll.plimsoll.svc" in leaf["dnsNames"]
    assert leaf["issuerRef"] == {"kind": "Issuer", "name": "plimsoll"}
    assert one("Issuer", "cert-manager", name="plimsoll")["spec"] == {"ca": {"secretName": "plimsoll-tls-ca"}}
    authority = one("Certificate", "cert-manager", name="plimsoll-ca")["spec"]
    assert authority["isCA"] and authority["secretName"] == "plimsoll-tls-ca"
    for document in rendered("cert-manager"):
        if "webhooks" in document:
            assert document["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == "plimsoll/plimsoll"
    assert one("Certificate", "cert-manager-issuer")["spec"]["issuerRef"] == {"kind": "ClusterIssuer", "name": "acme"}


# -- rights -------------------------------------------------------------------------------------------------------


def rights(role: Object) -> set[tuple[str, str, str, str]]:
    """Return (group, resource, name or '', verb) of all rules of a role."""
    return {
        each
        for rule in role["rules"]
        for each in product(rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""]), rule["verbs"])
    }


def test_it_writes_to_what_is_named_and_creates_nothing_but_events(one: One) -> None:
    given = (
        rights(one("ClusterRole")) | rights(one("Role", name="plimsoll")) | rights(one("Role", name="plimsoll-events"))
    )
    written = {right for right in given if right[3] not in ("get", "list", "watch")}
    configurations = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
    assert written == {
        *(("admissionregistration.k8s.io", kind, "plimsoll", "patch") for kind in configurations),
        ("authorization.k8s.io", "subjectaccessreviews", "", "create"),  # a question, and no object
        ("plimsoll.dev", "rulepacks/status", "", "patch"),
        ("coordination.k8s.io", "leases", "plimsoll", "update"),
        ("", "secrets", "plimsoll-tls", "update"),
        ("", "secrets", "plimsoll-tls-ca", "update"),
        ("", "events", "", "create"),  # in our own namespace and in `default`
    }
    assert not [right for right in rights(one("ClusterRole")) if right[1] == "events"]
    assert not [right for right in given if "*" in right]
    assert {right[2] for right in given if right[1] == "secrets"} == {"plimsoll-tls", "plimsoll-tls-ca"}


def test_each_option_brings_the_right_that_it_needs_and_no_other(one: One) -> None:
    def more(*options: str) -> set[tuple[str, str, str, str]]:
        cluster = rights(one("ClusterRole", "defaults", *options)) - rights(one("ClusterRole"))
        return cluster | (
            rights(one("Role", "defaults", *options, name="plimsoll")) - rights(one("Role", name="plimsoll"))
        )

    asked = "images.registries[0].host=registry.example"
    assert more("--set", asked) == set()
    assert more("--set", "images.podSecrets=true") == set()  # nothing is asked, so no secret is needed
    assert more("--set", f"{asked},images.podSecrets=true") == {("", "secrets", "", "get")}
    assert more("--set", f"{asked},images.warm=true") == {("", "pods", "", "list")}
    assert more("--set", f"{asked},images.secrets={{login}}") == {("", "secrets", "login", "get")}
    assert more("--set", "events.enabled=true") == {("", "events", "", verb) for verb in ("create", "patch")}
    fewer = rights(one("ClusterRole")) - rights(one("ClusterRole", "all-off"))
    assert {right[1] for right in fewer if "plimsoll" not in right[2]} == {"rulepacks", "rulepacks/status"}


def test_the_audit_has_an_account_of_its_own_that_only_reads_and_the_server_does_not_use(
    one: One, rendered: Rendered
) -> None:
    options = ("--set", "audit.serviceAccount=true")
    accounts = [each for each in rendered("defaults", *options) if each["kind"] == "ServiceAccount"]
    assert {each["metadata"]["name"] for each in accounts} == {"plimsoll", "plimsoll-audit"}
    assert not any(each["automountServiceAccountToken"] for each in accounts)
    role = one("ClusterRole", "defaults", *options, name="plimsoll-audit")
    assert {right[3] for right in rights(role)} == {"get", "list"}
    assert not [right for right in rights(role) if right[1] in ("secrets", "*")]
    bindings = [each for each in rendered("defaults", *options) if each["kind"].endswith("RoleBinding")]
    bound = {(each["roleRef"]["name"], each["subjects"][0]["name"]) for each in bindings}
    own = {("plimsoll", "plimsoll"), ("plimsoll-events", "plimsoll")}
    assert bound == own | {("plimsoll-audit", "plimsoll-audit")}


# -- network ------------------------------------------------------------------------------------------------------


def test_as_it_comes_the_network_policy_opens_two_ports_and_cuts_nothing_off(one: One) -> None:
    spec = one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert [rule["ports"][0]["port"] for rule in spec["ingress"]] == ["admission", "health"]
    assert not any("from" in rule for rule in spec["ingress"])


def test_where_addresses_are_named_connections_are_held_to_them(one: One) -> None:
    spec = one("NetworkPolicy", "all-on")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    blocks = [peer["ipBlock"]["cidr"] for peer in spec["ingress"][0]["from"] if "ipBlock" in peer]
    assert blocks == ["10.0.0.0/24", "fd00::/64"]
    out = {
        (port["port"], peer["ipBlock"]["cidr"])
        for rule in spec["egress"]
        for port, peer in product(rule["ports"], rule.get("to", ()))
        if "ipBlock" in peer
    }
    assert out == {(443, "10.0.0.0/24"), (6443, "10.0.0.0/24"), (443, "203.0.113.0/24")}
    assert {port["port"] for rule in spec["egress"] if "to" not in rule for port in rule["ports"]} == {53, 4318}


def test_monitoring_is_there_for_who_asks(one: One, rendered: Rendered) -> None:
    kinds = {"ServiceMonitor", "PrometheusRule"}
    assert not kinds & {each["kind"] for each in rendered()}
    monitor, service = one("ServiceMonitor", "all-on"), one("Service", "all-on")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert one("PrometheusRule", "all-on")["spec"]["groups"] == alerts
    board = one("ConfigMap", "all-on", name="plimsoll-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["plimsoll.json"]) == json.loads((CHART / "files" / "dashboard.json").read_text())


# -- values that are refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("dryrun=false", "additional properties 'dryrun' not allowed"),
        ("server.worker=3", "additional properties 'worker' not allowed"),
        ("networkPolicy.egress.apiserver={a}", "additional properties 'apiserver' not allowed"),
        ("replicas=many", "at '/replicas': got string, want integer"),
        ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("packs.shipped={costs}", "at '/packs/shipped/0': value must be one of"),
        ("webhooks.failurePolicy=Fial", "at '/webhooks/failurePolicy': value must be one of"),
        ("image.repository=registry.example/a:1", "at '/image/repository'"),
        ("image.digest=sha256:12", "at '/image/digest'"),
        ("networkPolicy.apiServers={10.0.0.1}", "at '/networkPolicy/apiServers/0'"),
        ("certManager.enabled=true,certificate.existingSecret=x", "give one of them, since one certificate is served"),
        ("certificate.caBundle=-----BEGIN CERTIFICATE-----", "goes with certificate.existingSecret"),
        ("packs.watch=false,packs.shipped=null", "packs: nothing judges"),
        ("replicas=1,podDisruptionBudget.minAvailable=1", "one replica has no budget"),
        (
            "networkPolicy.egress.apiServers={10.0.0.0/24},images.registries[0].host=registry.example",
            "networkPolicy.egress.registries: connections go out to named addresses alone",
        ),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_words(helm: Helm, option: str, words: str) -> None:
    assert words in helm.refused("--set", option)


def test_what_is_packaged_is_the_chart_and_not_what_its_page_is_made_of(helm: Helm, tmp_path: Path) -> None:
    done = helm("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("plimsoll-*.tgz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"Chart.yaml", "README.md", "values.yaml", "values.schema.json", "files/crd-rulepack.yaml"} <= names
    assert "README.tmpl.md" not in names


def test_the_server_is_told_what_it_would_undo_in_the_webhooks(one: One) -> None:
    (container,) = one("Deployment", "all-on")["spec"]["template"]["spec"]["containers"]
    told = {arg.partition("=")[2] for arg in container["args"] if arg.startswith("--webhook-exclude=")}
    assert told == {"kube-public", "calico-system"}
    later = one("Deployment", "all-on", "--set", "webhooks.timeoutSeconds=5")
    assert "--webhook-timeout=5" in later["spec"]["template"]["spec"]["containers"][0]["args"]
    (plain,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert not any(arg.startswith("--webhook-") for arg in plain["args"])
