"""What is added to a create on a real API server: by Plimsoll, by G, and by the rules as ValidatingAdmissionPolicies.

Latencies are wall time, and the machine also runs the API server and etcd: creates with and without are mixed, and the
mean of those without any webhook is taken off that of the others, round by round.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import build
import yaml
from lab import controlplane, webhooks
from lab.process import eventually

from bench import bodies, cpu, packs
from bench.results import Figure

NONE, FOUR, MANY, GO, POLICIES = "bench-none", "bench-core", "shop-07", "bench-g", "shop-08"
"""Namespaces: without anything, with the four rules, with 400 rules, with the four rules of G, with 400 policies."""


class Creator:
    """Creates pods over one kept connection, as a controller does."""

    def __init__(self, plane: controlplane.ControlPlane) -> None:
        """Connect as the cluster's administrator."""
        user = yaml.safe_load(plane.admin.kubeconfig.read_text())["users"][0]["user"]
        context = ssl.create_default_context(cafile=str(plane.ca.bundle))
        with tempfile.NamedTemporaryFile() as pair:
            for key in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[key]))
            pair.flush()
            context.load_cert_chain(pair.name)
        self._random = random.Random(0)  # the same order at every run
        port = plane.ports["kube-apiserver"]
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)

    def create(self, namespace: str, pod: bodies.Object) -> tuple[float, int, str]:
        """Create a pod; return the milliseconds, the status and what was said."""
        body = json.dumps(pod)
        begun = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", f"/api/v1/namespaces/{namespace}/pods", body, headers)
        answer = self._connection.getresponse()
        said = answer.read().decode()
        return (time.perf_counter() - begun) * 1000, answer.status, said

    def means(self, namespaces: Sequence[str], times: int) -> dict[str, float]:
        """Create so many pods in each namespace, and return the mean milliseconds; SystemExit where one is refused.

        They come one by one, shuffled, so that whatever goes on besides meets all of them: what an API server, etcd and
        the machine take moves more from one second to the next than what is asked for here.
        """
        taken: dict[str, list[float]] = {namespace: [] for namespace in namespaces}
        order = [namespace for namespace in namespaces for _ in range(times)]
        self._random.shuffle(order)
        for namespace in order:
            milliseconds, status, said = self.create(namespace, _pod(bodies.bare()))
            if status != http.client.CREATED:
                raise SystemExit(f"bench: a create in {namespace} was answered {status}: {said[:1000]}")
            taken[namespace].append(milliseconds)
        return {namespace: fmean(values) for namespace, values in taken.items()}

    def refused(self, namespace: str) -> bool:
        """Say whether a pod that breaks the rules is refused, so that they are in force."""
        return self.create(namespace, _pod(bodies.broken()))[1] in (403, 422)


def _pod(obj: bodies.Object) -> bodies.Object:
    metadata = {key: obj["metadata"][key] for key in ("generateName", "labels", "annotations")}
    return {**obj, "metadata": metadata}


def figures(bench: cpu.Bench) -> Iterator[Figure]:
    """Yield the milliseconds that are added to the mean of a create."""
    times, rounds = (10, 5) if bench.quick else (40, 25)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        plane = controlplane.launch(directory, build.build(), controllers=False)
        stack.callback(plane.stop)
        for namespace in (NONE, FOUR, MANY, GO, POLICIES):
            plane.admin("create", "namespace", namespace).must()
            plane.admin.within(namespace)("create", "serviceaccount", "web").must()
        found = []
        for namespace, name in ((FOUR, "core"), (MANY, "many"), (GO, "g")):
            server = cpu.start(bench, name)
            stack.callback(server.process.stop)
            url, bundle = server.url.removesuffix("/validate"), server.ca.read_bytes()
            found.append(webhooks.configuration(name, "validate", url, bundle, webhooks.only(namespace)))
        creator = Creator(plane)
        with webhooks.installed(plane.admin, *found):
            plain = _turns(creator, (NONE, FOUR, GO, MANY), times, rounds)
        plane.admin.create(*policies(packs.TEAMS)).must()
        eventually(lambda: creator.refused(POLICIES), 120, "the policies to act")
        creator.means([POLICIES], times)  # the API server compiles a policy when it is first asked
        judged = _turns(creator, (POLICIES,), times, rounds)
    base = median(plain[NONE])
    yield Figure("cluster/none", base, "ms", None, "mean of a create without a webhook", steady=False)
    rows = (
        ("core", FOUR, 1.5, "added to it by four rules"),
        ("g", GO, None, "added by the four rules of G"),
        ("many", MANY, 2.5, "added to it by 400 rules"),
    )
    for name, namespace, aim, text in rows:
        added = median(one - two for one, two in zip(plain[namespace], plain[NONE], strict=True))
        yield Figure(f"cluster/{name}", added, "ms", aim, text, steady=False)
    vap = median(judged[POLICIES]) - base
    yield Figure("cluster/policies", vap, "ms", None, "added by 400 ValidatingAdmissionPolicies", steady=False)


def _turns(creator: Creator, namespaces: Sequence[str], times: int, rounds: int) -> dict[str, list[float]]:
    for namespace in namespaces:
        if namespace != NONE:
            eventually(partial(creator.refused, namespace), 60, f"the rules in {namespace} to act")
    creator.means(namespaces, times)
    found = [creator.means(namespaces, times) for _ in range(rounds)]
    return {namespace: [means[namespace] for means in found] for namespace in namespaces}


def policies(teams: int) -> list[dict[str, Any]]:
    """Return the rules of the pack `many` as policies with their bindings, each for one team's namespace."""
    objects = []
    for team in range(teams):
        selector = {"matchLabels": {"kubernetes.io/metadata.name": f"shop-{team:02}"}}
        for source in packs.sources("four") + packs.sources("twenty")[: 20 - len(packs.CORE)]:
            name = f"{source['name']}-{team:02}.bench.plimsoll.dev"
            kept = source.get("expression") or f"{source['over']}.all(c, {source['keeps']})"
            validation = {"expression": kept}
            if "over" in source:
                failed = f"{source['over']}.filter(c, !({source['keeps']})).map(c, {source['found']})"
                validation["messageExpression"] = f"{failed}.join(', ')"
            rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}
            constraints = {"resourceRules": [rule], "namespaceSelector": selector}
            spec = {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": [validation]}
            objects.append(_admission("ValidatingAdmissionPolicy", name, spec))
            binding = {"policyName": name, "validationActions": ["Deny"]}
            objects.append(_admission("ValidatingAdmissionPolicyBinding", name, binding))
    return objects


def _admission(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    version = "admissionregistration.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
