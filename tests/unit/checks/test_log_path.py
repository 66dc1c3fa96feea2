"""log-path beyond its cases: parameters, which mount counts, the fix, hostile objects."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.checks import log_path
from webhook.checks.check import Check, ParamError
from webhook.model.decision import Violation
from webhook.model.patch import Draft, apply
from webhook.model.pods import Pod, subjects

SIZED = {"emptyDir": {"sizeLimit": "1Gi"}}


def build(**params: Any) -> Check:
    return log_path.build({**log_path.DEFAULTS, **params})


def read(obj: dict[str, Any]) -> Pod:
    (subject,) = subjects(obj, "", "Pod", "shop", "web")
    return subject.pods[0]


def found(obj: dict[str, Any], **params: Any) -> list[Violation]:
    check = build(**params)
    assert check.subject is not None
    (subject,) = subjects(obj, "", "Pod", "shop", "web")
    return [*check.subject(subject), *(violation for pod in subject.pods for violation in check.violations(pod))]


def reasons(obj: dict[str, Any], **params: Any) -> list[str]:
    return [violation.reason for violation in found(obj, **params)]


def fixed(obj: dict[str, Any], **params: Any) -> dict[str, Any]:
    check, draft = build(**params), Draft.of(obj)
    assert check.fix is not None
    check.fix(read(draft.document), draft)
    assert apply(obj, draft.operations) == draft.document
    again = Draft.of(draft.document)
    check.fix(read(again.document), again)
    assert again.operations == []
    return draft.document


def mounted(*paths: str, volume: dict[str, Any] = SIZED, **container: Any) -> dict[str, Any]:
    """Return a pod with one container that mounts a volume of its own at each path."""
    mounts = [{"name": f"v{number}", "mountPath": path} for number, path in enumerate(paths)]
    volumes = [{"name": f"v{number}", **volume} for number, _ in enumerate(paths)]
    return {"spec": {"containers": [{"name": "web", "volumeMounts": mounts, **container}], "volumes": volumes}}


@pytest.mark.parametrize(
    ("name", "value", "place", "says"),
    [
        ("directories", ["/ok", "var/log"], ("directories", 1), "absolute path"),
        ("directories", ["/"], ("directories", 0), "absolute path"),
        ("directories", ["/var/../etc"], ("directories", 0), "absolute path"),
        ("directories", ["/**"], ("directories", 0), "begins with a pattern"),
        ("directories", ["/*/logs"], ("directories", 0), "begins with a pattern"),
        ("directories", ["/var/log**"], ("directories", 0), "segment of its own"),
        ("hostLogDirectories", ["var/log"], ("hostLogDirectories", 0), "absolute path"),
        ("hostLogDirectories", ["/"], ("hostLogDirectories", 0), "absolute path"),
        ("hostLogDirectories", ["/var/log/*"], ("hostLogDirectories", 0), "written out"),
        ("fixSizeLimit", "1GB", ("fixSizeLimit",), "1Gi"),
        ("fixSizeLimit", "0", ("fixSizeLimit",), "1Gi"),
        ("fixSizeLimit", "-1Gi", ("fixSizeLimit",), "1Gi"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_refused_with_its_place(
    name: str, value: Any, place: tuple[str | int, ...], says: str
) -> None:
    with pytest.raises(ParamError) as error:
        build(**{name: value})
    ((path, sentence),) = error.value.problems
    assert path == place
    assert says in sentence


def test_a_required_variable_without_any_name_is_refused() -> None:
    with pytest.raises(ParamError, match="there are none"):
        build(requireVariable=True, variables=[])


def test_all_wrong_parameters_are_named_at_once() -> None:
    with pytest.raises(ParamError) as error:
        build(directories=["x", "y"], hostLogDirectories=["z"], fixSizeLimit="w")
    assert len(error.value.problems) == 4


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/var/log/app", True),
        ("/var/log/app/", True),
        ("//var//log/./app", True),
        ("/var/log/x/../app", True),
        ("var/log/app", True),
        ("/var/log", True),
        ("/var", True),
        ("/", False),
        ("/va", False),
        ("/var/log/ap", False),
        ("/var/log/app2", False),
        ("/var/log/app/sub", False),
        ("/var/log/app/..", True),
        ("/logs", False),
    ],
)
def test_the_mount_that_holds_the_directory_counts(path: str, passes: bool) -> None:
    assert (reasons(mounted(path)) == []) is passes


@pytest.mark.parametrize(
    ("pattern", "path", "passes"),
    [
        ("/var/log/**", "/var/log", True),
        ("/var/log/**", "/var/log/a/b/c", True),
        ("/var/log/**", "/var/logs", False),
        ("/var/log/*", "/var/log/a", True),
        ("/var/log/*", "/var/log/a/b", False),
        ("/var/log/*", "/var/log", True),
        ("/srv/**/logs", "/srv/logs", True),
        ("/srv/**/logs", "/srv/a/b/logs", True),
        ("/srv/**/logs", "/srv/a", True),
        ("/srv/**/logs", "/opt/logs", False),
        ("/srv/app-?/logs", "/srv/app-1/logs", True),
        ("/srv/app-?/logs", "/srv/app-12/logs", False),
        ("/srv/[ab]/logs", "/srv/a/logs", False),
        ("/srv/[ab]/logs", "/srv/[ab]/logs", True),
    ],
)
def test_a_pattern_matches_whole_segments(pattern: str, path: str, passes: bool) -> None:
    assert (reasons(mounted(path), directories=[pattern]) == []) is passes


@pytest.mark.parametrize(
    ("pattern", "path", "passes"),
    [
        ("/var/log/**", "/var/log", True),
        ("/var/log/*", "/var/log", False),
        ("/srv/**/logs", "/srv/a", False),
        ("/srv/**/logs", "/srv/a/logs", True),
    ],
)
def test_without_parents_the_mount_is_a_log_directory_itself(pattern: str, path: str, passes: bool) -> None:
    assert (reasons(mounted(path), directories=[pattern], parents=False) == []) is passes


def test_the_deepest_mount_over_a_directory_hides_the_others() -> None:
    obj = mounted("/var/log/app", "/var/log", "/var")
    obj["spec"]["containers"][0]["volumeMounts"][1]["readOnly"] = True
    assert reasons(obj) == []
    obj["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = True
    assert reasons(obj) == [log_path.READ_ONLY]


def test_a_read_only_parent_under_a_pattern_hides_a_writable_one_above_it() -> None:
    obj = mounted("/var", "/var/log")
    obj["spec"]["containers"][0]["volumeMounts"][1]["readOnly"] = True
    assert reasons(obj, directories=["/var/log/*"]) == [log_path.READ_ONLY]


def test_of_two_mounts_at_one_place_the_later_is_on_top() -> None:
    obj = mounted("/var/log/app", "/var/log/app/")
    obj["spec"]["containers"][0]["volumeMounts"][1]["readOnly"] = True
    assert reasons(obj) == [log_path.READ_ONLY]


def test_one_good_directory_of_several_is_enough() -> None:
    obj = mounted("/var/log/app", "/data/logs")
    obj["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = True
    assert reasons(obj, directories=["/var/log/app", "/data/logs"]) == []


@pytest.mark.parametrize("value", ["Enabled", "IfPossible"])
def test_recursive_read_only_is_not_writable(value: str) -> None:
    obj = mounted("/var/log/app")
    obj["spec"]["containers"][0]["volumeMounts"][0]["recursiveReadOnly"] = value
    assert reasons(obj) == [log_path.READ_ONLY]


def test_recursive_read_only_disabled_is_writable() -> None:
    obj = mounted("/var/log/app")
    obj["spec"]["containers"][0]["volumeMounts"][0].update(readOnly=False, recursiveReadOnly="Disabled")
    assert reasons(obj) == []


@pytest.mark.parametrize("limit", ["1Gi", "1", 1073741824, "0.5", 1e9])
def test_a_limit_above_zero_is_a_limit(limit: Any) -> None:
    assert reasons(mounted("/var/log/app", volume={"emptyDir": {"sizeLimit": limit}})) == []


@pytest.mark.parametrize("limit", [None, "", "0", "0Gi", 0, "-1", "1KB", "much", True, [], {}])
def test_a_limit_that_limits_nothing_is_none(limit: Any) -> None:
    assert reasons(mounted("/var/log/app", volume={"emptyDir": {"sizeLimit": limit}})) == [log_path.UNSIZED]


@pytest.mark.parametrize("kind", ["configMap", "secret", "projected", "downwardAPI", "image", "hostPath", "csi"])
def test_a_type_that_is_not_allowed_is_named(kind: str) -> None:
    (violation,) = found(mounted("/var/log/app", volume={kind: {}}))
    assert violation.reason == log_path.TYPE
    assert violation.found == f"volume v0 is {kind}"
    assert violation.pointer == f"/spec/volumes/0/{kind}"


def test_a_type_that_is_allowed_passes() -> None:
    assert reasons(mounted("/var/log/app", volume={"csi": {"driver": "logs.example"}}), volumeTypes=["csi"]) == []


def test_a_volume_of_two_types_is_none_of_them() -> None:
    (violation,) = found(mounted("/var/log/app", volume={**SIZED, "hostPath": {"path": "/etc"}}))
    assert violation.found == "volume v0 is emptyDir and hostPath"


@pytest.mark.parametrize(
    ("value", "passes"),
    [
        ("/var/log/app", True),
        ("/var/log/app/web.log", True),
        ("/var/log/app/../app/x", True),
        ("/var/log/app-evil", False),
        ("/var/log/app/../../etc", False),
        ("/dev/stdout", False),
        ("app/web.log", True),
        ("../../tmp", False),
        ("", True),
    ],
)
def test_a_log_variable_points_into_the_log_directory(value: str, passes: bool) -> None:
    obj = mounted("/var/log/app", workingDir="/var/log", env=[{"name": "LOG_PATH", "value": value}])
    assert (reasons(obj) == []) is passes


def test_the_last_of_two_variables_of_one_name_counts() -> None:
    env = [{"name": "LOG_PATH", "value": "/tmp"}, {"name": "LOG_PATH", "value": "/var/log/app"}]
    assert reasons(mounted("/var/log/app", env=env)) == []
    (violation,) = found(mounted("/var/log/app", env=env[::-1]))
    assert violation.pointer == "/spec/containers/0/env/1"


def test_a_log_variable_on_a_volume_that_lies_in_the_log_directory_but_is_not_good_is_found() -> None:
    obj = mounted("/var/log/app", "/var/log/app/in", env=[{"name": "LOG_PATH", "value": "/var/log/app/in/x"}])
    obj["spec"]["containers"][0]["volumeMounts"][1]["readOnly"] = True
    assert reasons(obj) == [log_path.ELSEWHERE]


def test_containers_out_of_scope_are_not_asked() -> None:
    obj = {"spec": {"containers": [{"name": "web"}, {"name": "istio-proxy"}]}}
    check = build()
    pod = read(obj).keep(lambda container: container.name == "web", lambda volume: True)
    assert [violation.container for violation in check.violations(pod)] == ["web"]


def test_the_annotation_alone_is_no_declaration_where_standard_output_is_not_allowed() -> None:
    obj = {**mounted("/var/log/app"), "metadata": {"annotations": {"plimsoll.dev/logs": "anything"}}}
    assert reasons(obj) == []


@pytest.mark.parametrize("value", ["STDOUT", "stdout ", "", "true", None, 7])
def test_only_the_word_stdout_declares_standard_output(value: Any) -> None:
    obj = {"metadata": {"annotations": {"plimsoll.dev/logs": value}}, "spec": {"containers": [{"name": "web"}]}}
    assert reasons(obj, allowStdout=True) == [log_path.DECLARED, log_path.MISSING]


def test_a_fix_never_changes_what_is_there() -> None:
    obj = mounted("/var/log/app", volume={"emptyDir": {}}, env=[{"name": "LOG_PATH", "value": "/tmp"}])
    assert fixed(obj) == obj


def test_a_fix_adds_no_mount_below_one_that_holds_the_directory() -> None:
    obj = mounted("/var/log")
    assert fixed(obj) == obj
    assert fixed(obj, parents=False) == obj


def test_a_fix_adds_nothing_where_an_empty_dir_is_not_allowed() -> None:
    obj = {"spec": {"containers": [{"name": "web"}]}}
    assert fixed(obj, volumeTypes=["persistentVolumeClaim"]) == obj


def test_a_fix_sets_no_variable_beside_env_from_or_where_there_are_none() -> None:
    sources = [{"configMapRef": {"name": "web"}}]
    assert "env" not in fixed({"spec": {"containers": [{"name": "web", "envFrom": sources}]}})["spec"]["containers"][0]
    assert "env" not in fixed({"spec": {"containers": [{"name": "web"}]}}, variables=[])["spec"]["containers"][0]


def test_a_fix_sets_a_required_variable_only_to_a_directory_that_lies_on_a_good_volume() -> None:
    params: dict[str, Any] = {"requireVariable": True, "directories": ["/var/log/app", "/data/logs"]}
    assert fixed(mounted("/data/logs"), **params) == mounted("/data/logs")
    (variable,) = fixed(mounted("/var/log"), **params)["spec"]["containers"][0]["env"]
    assert variable == {"name": "LOG_PATH", "value": "/var/log/app"}


def test_a_fix_takes_a_volume_name_that_neither_a_volume_nor_a_claim_template_has() -> None:
    other = {"name": "init", "volumeMounts": [{"name": "logs-2", "mountPath": "/x"}]}
    obj = {"spec": {"initContainers": [other], "containers": [{"name": "web"}], "volumes": [{"name": "logs", **SIZED}]}}
    assert [volume["name"] for volume in fixed(obj)["spec"]["volumes"]] == ["logs", "logs-3"]


def test_a_container_added_after_a_fix_gets_a_volume_of_its_own() -> None:
    obj = fixed({"spec": {"containers": [{"name": "web"}]}})
    before = copy.deepcopy(obj["spec"]["containers"][0])
    obj["spec"]["containers"].append({"name": "late"})
    again = fixed(obj)
    assert again["spec"]["containers"][0] == before
    assert again["spec"]["containers"][1]["volumeMounts"] == [{"name": "logs-2", "mountPath": "/var/log/app"}]


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "x", "/var/log/app", "$(A)", "$("]), st.just([])
)
ENTRIES = st.dictionaries(
    st.sampled_from(["name", "value", "valueFrom", "mountPath", "readOnly", "subPathExpr", "emptyDir", "hostPath"]),
    st.one_of(VALUES, st.dictionaries(st.sampled_from(["path", "sizeLimit", "fieldRef", "medium"]), VALUES)),
)
LISTS = st.one_of(VALUES, st.lists(st.one_of(VALUES, ENTRIES), max_size=3))


@given(mounts=LISTS, env=LISTS, sources=LISTS, volumes=LISTS, annotations=VALUES, os=VALUES, working=VALUES)
def test_values_of_wrong_types_never_raise(
    mounts: Any, env: Any, sources: Any, volumes: Any, annotations: Any, os: Any, working: Any
) -> None:
    container = {"name": "web", "volumeMounts": mounts, "env": env, "envFrom": sources, "workingDir": working}
    obj = {"metadata": {"annotations": annotations}, "spec": {"containers": [container], "volumes": volumes, "os": os}}
    for violation in found(obj, hostLogDirectories=["/var/log"], allowStdout=True, requireVariable=True):
        assert violation.pointer.startswith(("/spec/", "/metadata/"))


@pytest.mark.parametrize("name", [None, 7, [], {}])
@pytest.mark.parametrize("field", ["env", "volumeMounts", "envFrom"])
def test_names_of_wrong_types_never_raise(field: str, name: Any) -> None:
    container = {"name": "web", field: [{"name": name, "mountPath": "/var/log/app"}]}
    obj = {"spec": {"containers": [container], "volumeClaimTemplates": [{"metadata": {"name": name}}]}}
    assert reasons(obj) == [log_path.MISSING]
    assert fixed(obj)["spec"]["volumes"] == [{"name": "logs", **SIZED}]


def test_a_mount_added_elsewhere_leaves_the_words_of_an_old_finding_alone() -> None:
    (before,), (after,) = found(mounted()), found(mounted("/data", "/etc/web"))
    assert (before.container, before.found) == (after.container, after.found)


def test_under_a_pattern_one_read_only_directory_does_not_hide_the_others() -> None:
    obj = mounted("/data/logs/a", "/data/logs/a/b")
    obj["spec"]["containers"][0]["volumeMounts"][1]["readOnly"] = True
    assert reasons(obj, directories=["/data/logs/**"]) == []
