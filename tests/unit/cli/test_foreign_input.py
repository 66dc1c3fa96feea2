"""Whatever stands in a policy where something else belongs, `plimsoll import` says so, and does not break."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from webhook.cli.foreign import gatekeeper, kyverno, psa
from webhook.cli.foreign.outcome import text
from webhook.cli.objects import within

KYVERNO = """
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p, annotations: {pod-policies.kyverno.io/autogen-controllers: none}}
spec:
  validationFailureAction: Enforce
  webhookConfiguration: {timeoutSeconds: 5}
  rules:
    - name: a
      match:
        any:
          - {resources: {kinds: [Pod], namespaces: [a], operations: [CREATE]}, subjects: [{kind: User, name: b}]}
      exclude: {any: [{resources: {namespaces: [c]}}]}
      preconditions: {all: [{key: "{{ request.operation }}", operator: NotEquals, value: DELETE}]}
      validate: {message: m, pattern: {spec: {containers: [{image: "!*:latest"}]}}}
    - name: b
      match: {resources: {kinds: [Service], selector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}}
      celPreconditions: [{name: a, expression: "true"}]
      validate: {cel: {variables: [{name: v, expression: "1"}], expressions: [{expression: "true", message: x}]}}
    - name: c
      match: {resources: {kinds: [Pod]}}
      validate: {anyPattern: [{spec: {hostPID: false}}]}
"""
VALIDATING = """
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: p}
spec:
  validationActions: [Deny]
  autogen: {podControllers: {controllers: [jobs]}}
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions: [{name: a, expression: "true"}]
  variables: [{name: v, expression: "1"}]
  validations: [{expression: "true", message: m, messageExpression: "'a'"}]
"""
TEMPLATE = """
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: a}
spec:
  crd: {spec: {names: {kind: A}}}
  targets: [{code: [{engine: K8sNativeValidation, source: {variables: [], validations: [{expression: "true"}]}}]}]
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: A
metadata: {name: a}
spec: {match: {kinds: [{apiGroups: [""], kinds: [Service]}]}}
"""
CONSTRAINT = """
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: %s
metadata: {name: a}
spec:
  enforcementAction: warn
  match:
    kinds: [{apiGroups: ["*"], kinds: [%s]}]
    excludedNamespaces: [a]
    namespaceSelector: {matchLabels: {a: b}}
  parameters: %s
"""
PARAMETERS = {
    "K8sAllowedRepos": "{repos: [a]}",
    "K8sContainerLimits": '{cpu: "1", memory: 1Gi, exemptImages: [a]}',
    "K8sPSPCapabilities": "{allowedCapabilities: [a], requiredDropCapabilities: [b]}",
    "K8sPSPHostFilesystem": "{allowedHostPaths: [{pathPrefix: /a, readOnly: true}]}",
    "K8sPSPHostNetworkingPorts": "{hostNetwork: true, min: 1, max: 2}",
    "K8sRequiredProbes": "{probes: [livenessProbe], probeTypes: [httpGet]}",
    "K8sRequiredResources": "{limits: [cpu], requests: [memory]}",
}
OBJECTS = {
    "K8sReplicaLimits": ("Deployment", "{ranges: [{min_replicas: 1, max_replicas: 2}]}"),
    "K8sRequiredLabels": ("Namespace", '{labels: [{key: a, allowedRegex: "^a$"}], message: m}'),
}
SECURITY = """
apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {pod-security.kubernetes.io/enforce: baseline}}
---
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: PodSecurity
    configuration:
      kind: PodSecurityConfiguration
      defaults: {enforce: baseline, enforce-version: latest}
      exemptions: {usernames: [a], namespaces: [b], runtimeClasses: [c]}
"""
TEXTS = [
    pytest.param(kyverno.read, KYVERNO, id="kyverno"),
    pytest.param(kyverno.read, VALIDATING, id="validating"),
    pytest.param(gatekeeper.read, TEMPLATE, id="template"),
    pytest.param(psa.read, SECURITY, id="psa"),
    *(pytest.param(gatekeeper.read, CONSTRAINT % (k, "Pod", p), id=k) for k, p in PARAMETERS.items()),
    *(pytest.param(gatekeeper.read, CONSTRAINT % (k, *p), id=k) for k, p in OBJECTS.items()),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from places(item, (*path, key))


LEVELS: dict[str, Any] = {"baseline": [{"name": "privileged"}], "restricted": [{"name": "privileged"}]}


@pytest.mark.parametrize(("read", "content"), TEXTS)
def test_what_is_not_as_it_should_be_is_refused_or_makes_a_pack(read: Callable[..., Any], content: str) -> None:
    documents = list(yaml.safe_load_all(content))
    sound = read([m for m in within("a.yaml", content) if m], LEVELS, "p")
    assert (sound.refused, bool(sound.packs)) == ([], True)
    for path in places(documents):
        for wrong in (7, "x y", [[]], [{}], {"x y": 1}):
            changed = copy.deepcopy(documents)
            place: Any = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            manifests = [m for m in within("a.yaml", yaml.safe_dump_all(changed)) if m]
            assert text(read(manifests, LEVELS, "p"), "x").startswith("# Imported")
