"""requests-equal-limits: what its cases don't say."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.checks import requests_equal_limits as check
from webhook.checks.check import Check, ParamError
from webhook.model import quantity
from webhook.model.decision import Violation
from webhook.model.patch import Draft
from webhook.model.pods import subjects


def built(**params: Any) -> Check:
    return check.build({**check.DEFAULTS, **params})


def pod_of(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}


def web(resources: Any) -> dict[str, Any]:
    return pod_of({"containers": [{"name": "web", "image": "registry.example/web:1", "resources": resources}]})


def found(standard: Check, obj: dict[str, Any]) -> list[Violation]:
    [subject] = subjects(obj, "", "Pod", "shop", "x")
    return [violation for pod in subject.pods for violation in standard.violations(pod)]


def mended(standard: Check, obj: dict[str, Any]) -> Draft:
    draft = Draft.of(obj)
    [subject] = subjects(draft.document, "", "Pod", "shop", "x")
    for pod in subject.pods:
        assert standard.fix is not None
        standard.fix(pod, draft)
    return draft


@pytest.mark.parametrize(
    "params",
    [
        {"resources": []},
        {"resources": ["mem"]},
        {"resources": ["cpu", "cpu"]},
        {"resources": ["requests.cpu"]},
        {"resources": ["hugepages-2KB"]},
        {"resources": ["/gpu"]},
        {"ratio": {"cpu": 0.5}},
        {"ratio": {"cpu": float("nan")}},
        {"ratio": {"cpu": float("inf")}},
        {"ratio": {"cpu": True}},
        {"ratio": {"ephemeral-storage": 2}},
        {"resources": ["nvidia.com/gpu"], "ratio": {"nvidia.com/gpu": 2}},
        {"resources": ["hugepages-2Mi"], "ratio": {"hugepages-2Mi": 2}},
        {"default": {"memory": "1KB"}},
        {"default": {"memory": "0"}},
        {"default": {"cpu": "-1"}},
        {"default": {"disk": "1Gi"}},
        {"default": {"nvidia.com/gpu": "500m"}},
    ],
)
def test_parameters_that_cannot_be_meant_are_refused_with_their_place(params: dict[str, Any]) -> None:
    with pytest.raises(ParamError) as error:
        built(**params)
    [key] = [key for key in params if key != "resources"] or ["resources"]
    assert [path[0] for path, _ in error.value.problems] == [key]
    assert all(text for _, text in error.value.problems)


def test_all_problems_of_the_parameters_are_said_at_once() -> None:
    with pytest.raises(ParamError) as error:
        built(resources=["mem", "cpu"], ratio={"cpu": 0}, default={"memory": "1KB"})
    assert [path for path, _ in error.value.problems] == [("resources", 0), ("ratio", "cpu"), ("default", "memory")]


@pytest.mark.parametrize("resource", ["ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "example.com/Foo_1.x"])
def test_every_resource_of_kubernetes_can_be_named(resource: str) -> None:
    standard = built(resources=[resource])
    assert found(standard, web({"limits": {resource: 4}})) == []
    [violation] = found(standard, web({"requests": {resource: 2}, "limits": {resource: 4}}))
    assert violation.found == f"{resource} requests 2, limits 4"


@pytest.mark.parametrize("resource", ["hugepages-2Mi", "nvidia.com/gpu"])
def test_nobody_has_to_have_what_is_never_overcommitted(resource: str) -> None:
    assert found(built(resources=[resource]), web({})) == []
    assert found(built(resources=[resource]), web({"limits": {resource: "0"}})) == []


@pytest.mark.parametrize("value", ["1KB", "", "NaN", "1_000", "１", True, [], {}, "-1", -1, "1 Gi", "1e999999999"])
@pytest.mark.parametrize("place", ["requests", "limits"])
def test_a_value_that_kubernetes_would_refuse_is_one_finding_and_never_mended(value: Any, place: str) -> None:
    standard = built(resources=["memory"])
    both = {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    both[place] = {"memory": value}
    [violation] = found(standard, web(both))
    assert violation.pointer == "/spec/containers/0/resources"
    assert violation.reason == "not a quantity of this resource"
    assert violation.found.startswith(f"memory {place} ")
    assert len(violation.found) < 300
    assert mended(standard, web(both)).operations == []


@pytest.mark.parametrize("resources", ["large", 3, ["cpu"], {"limits": "1Gi"}, {"limits": ["memory"]}, {"requests": 1}])
def test_resources_of_a_wrong_type_are_findings_and_break_nothing(resources: Any) -> None:
    assert len(found(built(), web(resources))) == 2
    assert mended(built(), web(resources)).operations == []


def test_a_null_is_the_same_as_nothing() -> None:
    assert len(found(built(), web({"requests": None, "limits": {"cpu": None}}))) == 2
    assert len(found(built(), web(None))) == 2
    assert mended(built(), web(None)).document == web({"limits": {"cpu": "1", "memory": "1Gi"}})


def test_request_and_limit_zero_with_a_real_other_side() -> None:
    [violation] = found(built(resources=["memory"]), web({"requests": {"memory": 0}, "limits": {"memory": "1Gi"}}))
    assert violation.found == "memory requests 0, limits 1Gi"
    [violation] = found(built(resources=["memory"]), web({"requests": {"memory": "1Gi"}, "limits": {"memory": 0}}))
    assert violation.found == "memory requests 1Gi, limits 0, which is none"
    draft = mended(built(resources=["memory"]), web({"requests": {"memory": "1Gi"}, "limits": {"memory": 0}}))
    assert draft.document == web({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}})


def test_ephemeral_containers_are_neither_judged_nor_mended() -> None:
    obj = web({"limits": {"cpu": "1", "memory": "1Gi"}})
    obj["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox:1"}]
    assert found(built(), obj) == []
    assert mended(built(), obj).operations == []


def test_the_ratio_is_exact_at_its_edge() -> None:
    standard = built(resources=["cpu"], ratio={"cpu": 1.1})
    assert found(standard, web({"requests": {"cpu": "1"}, "limits": {"cpu": "1100m"}})) == []
    [violation] = found(standard, web({"requests": {"cpu": "1"}, "limits": {"cpu": "1101m"}}))
    assert violation.wanted == "limits at most 1.1 times requests"


def test_a_ratio_still_wants_a_limit() -> None:
    [violation] = found(built(resources=["cpu"], ratio={"cpu": 4}), web({"requests": {"cpu": "1"}}))
    assert (violation.found, violation.wanted) == ("cpu requests 1, no limits", "cpu limits at most 4 times requests")


@pytest.mark.parametrize(
    ("level", "containers", "text"),
    [
        ({"limits": {"memory": "1KB"}}, {}, "memory limits 1KB"),
        ({"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}, {}, "memory requests 2Gi, limits 1Gi"),
        ({"limits": {"memory": "1Gi"}}, {"requests": {"memory": "512Mi"}}, "memory requests 512Mi (the sum"),
    ],
)
def test_the_pod_level_is_judged_as_a_place_of_its_own(level: Any, containers: Any, text: str) -> None:
    obj = web(containers)
    obj["spec"]["resources"] = level
    [violation] = found(built(resources=["memory"]), obj)
    assert (violation.pointer, violation.container) == ("/spec/resources", None)
    assert violation.found.startswith(text)


def test_the_pod_level_knows_no_ephemeral_storage() -> None:
    obj = web({})
    obj["spec"]["resources"] = {"limits": {"ephemeral-storage": "1Gi"}}
    [violation] = found(built(resources=["ephemeral-storage"]), obj)
    assert violation.pointer == "/spec/containers/0/resources"


def test_the_sum_of_the_containers_takes_the_peak_of_the_init_phase() -> None:
    def container(name: str, memory: str, **more: str) -> dict[str, Any]:
        return {"name": name, "resources": {"limits": {"memory": memory}}, **more}

    spec = {
        "initContainers": [
            container("first", "300Mi"),
            container("sidecar", "100Mi", restartPolicy="Always"),
            container("second", "1Gi"),
        ],
        "containers": [container("web", "500Mi"), {"name": "free"}],
        "resources": {"limits": {"memory": "1124Mi"}},
    }
    standard = built(resources=["memory"])
    assert found(standard, pod_of(spec)) == []
    spec["resources"] = {"limits": {"memory": "1125Mi"}}
    assert [v.pointer for v in found(standard, pod_of(spec))] == ["/spec/resources"]


def test_the_patch_is_as_small_as_can_be() -> None:
    obj = web({"requests": {"cpu": "1", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}})
    [operation] = mended(built(), obj).operations
    assert operation == {"op": "replace", "path": "/spec/containers/0/resources/requests/memory", "value": "512Mi"}


def test_a_resource_with_a_slash_is_escaped_in_the_patch() -> None:
    obj = web({"requests": {"nvidia.com/gpu": 1}})
    [operation] = mended(built(resources=["nvidia.com/gpu"]), obj).operations
    assert operation["value"] == {"nvidia.com/gpu": 1}
    obj = web({"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 2}})
    [operation] = mended(built(resources=["nvidia.com/gpu"]), obj).operations
    assert operation["path"] == "/spec/containers/0/resources/requests/nvidia.com~1gpu"


AMOUNTS = st.one_of(
    st.none(),
    st.integers(0, 5000),
    st.integers(0, 9000).map(lambda n: f"{n}m"),
    st.integers(0, 4096).map(lambda n: f"{n}Mi"),
    st.sampled_from(["0.5", "1e3", "1.5Gi", "1KB", "-1", "", "1G", 0.25]),
)
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        side: st.dictionaries(st.sampled_from(["cpu", "memory"]), AMOUNTS, max_size=2)
        for side in ("requests", "limits")
    },
)


@given(RESOURCES, RESOURCES, st.sampled_from([1, 1.5, 3, 4]), st.booleans())
def test_after_a_fix_a_second_one_changes_nothing_and_what_is_left_is_no_new_finding(
    resources: dict[str, Any], level: dict[str, Any], ratio: float, shared: bool
) -> None:
    standard = built(ratio={"cpu": ratio, "memory": ratio})
    obj = web(resources)
    if shared:
        obj["spec"]["resources"] = level
    before = copy.deepcopy(obj)
    draft = mended(standard, obj)
    assert obj == before
    assert mended(standard, draft.document).operations == []
    assert set(found(standard, draft.document)) <= set(found(standard, obj))
    if not shared:
        assert {v.reason for v in found(standard, draft.document)} <= {
            "not a quantity of this resource",
            "requests above limits",
        }


@given(st.integers(1, 10**7), st.sampled_from([1.5, 3, 7]))
def test_a_request_raised_to_its_share_keeps_the_ratio_and_stays_below_the_limit(limit: int, ratio: float) -> None:
    standard = built(resources=["memory"], ratio={"memory": ratio})
    draft = mended(standard, web({"requests": {"memory": 0}, "limits": {"memory": f"{limit}Ki"}}))
    request = draft.document["spec"]["containers"][0]["resources"]["requests"]["memory"]
    assert quantity.parse(request) <= limit * 1024
    assert found(standard, draft.document) == []
