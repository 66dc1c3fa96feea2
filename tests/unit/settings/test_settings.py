"""The settings: where each comes from, what counts more, and what is said of a bad one."""

from __future__ import annotations

import pytest

from webhook.errors import ConfigError
from webhook.settings import Settings, options, place, read


def test_without_flags_and_variables_the_defaults_hold() -> None:
    assert read({}, {}) == Settings()


def test_a_variable_counts_more_than_the_default_and_a_flag_more_than_a_variable() -> None:
    assert read({}, {"PLIMSOLL_WORKERS": "4"}).workers == 4
    assert read({"workers": "5"}, {"PLIMSOLL_WORKERS": "4"}).workers == 5


def test_a_repeatable_setting_is_a_list_with_commas_in_its_variable() -> None:
    assert read({}, {"PLIMSOLL_POLICIES": "a.yaml, b.yaml"}).policies == ("a.yaml", "b.yaml")
    assert read({"policies": ["c,d.yaml"]}, {}).policies == ("c,d.yaml",)


def test_a_flag_that_is_not_given_does_not_hide_its_variable() -> None:
    assert read({"register": None, "yes": False}, {"PLIMSOLL_REGISTER": "true", "PLIMSOLL_YES": "1"}).yes


def test_all_bad_values_are_named_at_once_with_what_is_wanted() -> None:
    with pytest.raises(ConfigError) as caught:
        read({"port": "99999"}, {"PLIMSOLL_WORKERS": "many", "PLIMSOLL_MODE": "soft", "PLIMSOLL_YES": "maybe"})
    assert [str(problem) for problem in caught.value.problems] == [
        "--port: '99999' is not allowed; wanted a whole number from 0 to 65535",
        "PLIMSOLL_MODE: 'soft' is not allowed; wanted one of (empty), enforce, dry-run",
        "PLIMSOLL_WORKERS: 'many' is not allowed; wanted a whole number from 1 to 32",
        "PLIMSOLL_YES: 'maybe' is not allowed; wanted true or false",
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e9"])
def test_a_time_that_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        read({"drain": value}, {})


def test_a_misspelt_variable_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean PLIMSOLL_WORKERS"):
        read({}, {"PLIMSOLL_WORKER": "4"})


def test_the_kubelets_variables_of_a_service_called_plimsoll_are_no_settings() -> None:
    links = {
        "PLIMSOLL_PORT": "tcp://10.0.0.7:443",
        "PLIMSOLL_SERVICE_HOST": "10.0.0.7",
        "PLIMSOLL_SERVICE_PORT_HTTPS": "443",
        "PLIMSOLL_PORT_443_TCP_ADDR": "10.0.0.7",
    }
    assert read({}, links) == Settings()


def test_every_setting_has_its_own_flag_and_variable_and_a_help() -> None:
    found = options()
    assert len({option.flag for option in found}) == len({option.variable for option in found}) == len(found)
    assert all(option.help for option in found)


def test_idle_connections_are_kept_longer_than_an_api_server_keeps_them() -> None:
    assert Settings().keep_alive >= 120


def test_the_setting_counts_before_kubeconfig_and_that_before_the_homes_file() -> None:
    home = {"HOME": "/home/me"}
    assert place(Settings(), home).kubeconfigs == ("/home/me/.kube/config",)
    assert place(Settings(), {**home, "KUBECONFIG": "/a:/b"}).kubeconfigs == ("/a", "/b")
    assert place(Settings(kubeconfig="/c"), {"KUBECONFIG": "/a"}).kubeconfigs == ("/c",)


@pytest.mark.parametrize(
    ("flags", "writes"),
    [({}, False), ({"trace": "http://x"}, False), ({"record": "/x"}, True), ({"events": True}, True)],
)
def test_what_leaves_a_trace_of_reviews_is_a_side_effect(flags: dict[str, str | bool], writes: bool) -> None:
    assert read(flags, {}).writes is writes
