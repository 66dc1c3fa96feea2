"""The console entry: which commands there are, what each costs to ask for, and what a wrong one comes to."""

from __future__ import annotations

import importlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from webhook import hosting, main, serving, settings
from webhook.errors import ConfigError
from webhook.settings import options


def test_every_command_has_help_and_the_three_parts_of_one() -> None:
    assert {"certs", "serve"} <= set(main.commands())
    for name in main.commands():
        module = importlib.import_module(f"webhook.cli.{name}")
        assert isinstance(module.HELP, str)
        assert callable(module.configure)
        assert callable(module.run)


def imports_none(heavy: set[str], *argv: str) -> None:
    """Fail where a command, in a process of its own, imports any of these modules, or writes to stderr."""
    script = (
        "import sys; from webhook import main\n"
        f"try: main.main({list(argv)!r})\nexcept SystemExit: pass\n"
        f"sys.exit(','.join(sorted({heavy!r} & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(main.__file__).parents[1], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_help_lists_the_commands_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in main.commands())
    imports_none({"flask", "gunicorn", "cel_expr_python", "yaml", "cryptography", "orjson"}, "--help")


def test_help_of_check_imports_nothing_of_what_it_does() -> None:
    imports_none({"webhook.checks", "webhook.engine", "cel_expr_python", "yaml"}, "check", "--help")


def test_check_of_one_file_imports_nothing_that_only_a_server_or_many_files_need(tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b}]}}")
    heavy = {"flask", "gunicorn", "cryptography", "urllib3", "prometheus_client", "packaging", "ssl", "asyncio"}
    heavy |= {"cel_expr_python", "google.protobuf"}  # no pack that comes with Plimsoll has CEL
    imports_none(heavy | {"multiprocessing", "concurrent.futures", "webhook.settings"}, "check", str(manifest))


def test_an_unknown_command_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(["nonsense"])
    assert end.value.code == 2
    assert "serve" in capsys.readouterr().err


def test_serve_has_a_flag_for_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["serve", "--help"])
    shown = capsys.readouterr().out
    assert all(option.flag in shown for option in options())


def test_bad_settings_are_2_and_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["serve", "--port", "x", "--workers", "0"]) == 2
    shown = capsys.readouterr().err
    assert "--port" in shown
    assert "--workers" in shown


def test_sockets_of_both_families_share_a_port() -> None:
    sockets = hosting.listen(["127.0.0.1", "::1"], 0, "port")
    names = [hosting.address(sock) for sock in sockets]
    for sock in sockets:
        sock.close()
    assert [name for name, _ in names] == ["127.0.0.1", "::1"]
    assert len({port for _, port in names}) == 1


def test_a_port_that_is_taken_names_the_setting() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigError, match="--port: can't listen"),
    ):
        hosting.listen(["127.0.0.1"], taken.getsockname()[1], "port")


def test_a_disk_that_is_full_is_a_sentence_and_bad_use(tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b}]}}")
    with Path("/dev/full").open("w") as full:
        command = [
            sys.executable,
            "-c",
            "import sys; from webhook.main import main; sys.exit(main())",
            "check",
            str(manifest),
        ]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (2, "plimsoll: No space left on device\n")


def ended(before: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, as the console script does, after these statements."""
    code = f"import sys; {before}; from webhook.main import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False, timeout=60)


def test_the_end_of_a_command_does_what_was_to_be_done_then_and_waits_for_threads() -> None:
    exits = ended("import atexit; atexit.register(print, 'last')", "check", "no.yaml")
    assert (exits.returncode, exits.stdout.splitlines()[-1:]) == (2, ["last"])
    thread = "import threading, time; work = lambda: (threading.main_thread().join(), print('done'))"
    waits = ended(f"{thread}; threading.Thread(target=work).start()", "check", "no.yaml")
    assert (waits.returncode, waits.stdout.splitlines()[-1:]) == (2, ["done"])


@pytest.mark.parametrize("word", ["no-such", "judge", "../main", ""])
def test_what_is_no_command_is_wrong_use(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main.main([word])
    assert f"invalid choice: {word!r} (choose from 'bench', 'certs'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meant"), [("chek", "check"), ("Check", "check"), ("check.py", "check"), ("unistall", "uninstall")]
)
def test_a_mistyped_command_is_told_the_one_that_was_meant(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main.main([word])
    assert f"invalid choice: {word!r} (did you mean {meant}? choose from 'bench'," in capsys.readouterr().err


def uncounted(result: str) -> None:
    """Count no look-up."""


def waited() -> None:
    """Do nothing before waiting."""


def test_without_a_registries_file_nothing_asks_registries() -> None:
    assert serving.images(settings.read({}, {}), None, uncounted, waited) is None


@pytest.mark.parametrize("flag", ["image_cache", "registry_secret", "pod_secrets", "warm"])
def test_what_is_about_registries_needs_the_file_that_lists_them(flag: str) -> None:
    given = {"registry_secret": ["pull"], "image_cache": "cache"}.get(flag, True)
    with pytest.raises(ConfigError, match=f"--{flag.replace('_', '-')}: has no use without --registries"):
        serving.images(settings.read({flag: given}, {}), None, uncounted, waited)


def test_what_is_kept_in_a_cluster_needs_one() -> None:
    given = settings.read({"webhooks": "plimsoll", "certificate_secret": "plimsoll-tls"}, {})
    with pytest.raises(ConfigError) as raised:
        serving.kept(given, None)
    text = "needs a connection to a cluster: a pod's own, or --kubeconfig"
    assert list(map(str, raised.value.problems)) == [f"--certificate-secret: {text}", f"--webhooks: {text}"]


def test_what_is_asked_of_a_cluster_needs_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--warm: needs a connection to a cluster"):
        serving.images(
            settings.read({"registries": str(tmp_path / "registries.yaml"), "warm": True}, {}),
            None,
            uncounted,
            lambda: None,
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "can't be read: No such file or directory; see --registries"), (b"\xff", "it is not UTF-8"),
     (b"kind: Registries", "registries.yaml:1")],
)  # fmt: skip
def test_a_registries_file_that_cannot_be_used_ends_the_start(text: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "registries.yaml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        serving.images(settings.read({"registries": str(file)}, {}), None, uncounted, waited)
