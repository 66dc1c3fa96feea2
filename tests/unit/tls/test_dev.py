"""`plimsoll certs`: whatever lies in the directory, good certificates lie there afterwards."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from webhook.cli import certs
from webhook.errors import ConfigError
from webhook.tls import dev, issue, store
from webhook.tls.issue import KeyPair

FILES = ["ca.crt", "ca.key", "tls.crt", "tls.key"]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def good(directory: Path, now: datetime, extra: tuple[str, ...] = ()) -> bool:
    files = contents(directory)
    names = dev.wanted("plimsoll", "plimsoll", extra)
    return sorted(files) == FILES and not issue.state(files["tls.crt"], files["tls.key"], now, names, files["ca.crt"])


def test_an_empty_directory_gets_certificates_that_a_client_accepts(
    tmp_path: Path, now: datetime, handshake: Callable[..., str]
) -> None:
    lines = dev.ensure(tmp_path / "certs", now, extra=["Web.Example.", "10.0.0.1"])
    assert good(tmp_path / "certs", now, ("web.example", "10.0.0.1"))
    assert [line.partition(",")[0] for line in lines] == [
        f"{tmp_path}/certs/ca.crt: made anew (there was none)",
        f"{tmp_path}/certs/tls.crt: made anew (there was none)",
    ]
    assert lines[1].endswith(
        "for localhost, 127.0.0.1, ::1, plimsoll, plimsoll.plimsoll, plimsoll.plimsoll.svc, "
        "plimsoll.plimsoll.svc.cluster.local, web.example, 10.0.0.1"
    )
    files = contents(tmp_path / "certs")
    pair = KeyPair(files["tls.crt"], files["tls.key"])
    for name in ("localhost", "127.0.0.1", "::1", "plimsoll.plimsoll.svc", "10.0.0.1"):
        assert handshake(pair, files["ca.crt"], name) == "TLSv1.3"


def test_a_second_run_changes_nothing_and_says_so(tmp_path: Path, now: datetime) -> None:
    dev.ensure(tmp_path, now)
    before = contents(tmp_path)
    lines = dev.ensure(tmp_path, now + timedelta(days=200))
    assert contents(tmp_path) == before
    assert all(": kept, valid to 20" in line for line in lines)


def test_a_server_certificate_past_two_thirds_of_its_life_is_renewed_under_the_same_authority(
    tmp_path: Path, now: datetime
) -> None:
    dev.ensure(tmp_path, now)
    before = contents(tmp_path)
    later = now + timedelta(days=250)
    lines = dev.ensure(tmp_path, later)
    after = contents(tmp_path)
    assert "two thirds of its life are over" in lines[1]
    assert after["ca.crt"] == before["ca.crt"] and after["tls.crt"] != before["tls.crt"]
    assert good(tmp_path, later)


@pytest.mark.parametrize("days", [-1, 2500, 4000])
def test_an_authority_that_is_early_near_its_end_or_expired_takes_its_server_certificate_along(
    days: int, tmp_path: Path, now: datetime
) -> None:
    dev.ensure(tmp_path, now)
    before = contents(tmp_path)
    later = now + timedelta(days=days)
    dev.ensure(tmp_path, later)
    after = contents(tmp_path)
    assert all(after[name] != before[name] for name in FILES)
    assert good(tmp_path, later)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "another's"])
def test_each_file_that_is_damaged_is_mended(name: str, damage: str, tmp_path: Path, now: datetime) -> None:
    dev.ensure(tmp_path, now)
    other = issue.authority(now)
    path = tmp_path / name
    if damage == "gone":
        path.unlink()
    else:
        swapped = other.key if name.endswith(".key") else other.certificate
        path.write_bytes({"empty": b"", "garbage": b"-----BEGIN", "another's": swapped}[damage])
    lines = dev.ensure(tmp_path, now)
    assert good(tmp_path, now)
    assert any("made anew" in line for line in lines)
    assert all("kept" in line for line in dev.ensure(tmp_path, now))


def test_a_name_asked_for_that_is_not_held_makes_a_new_certificate(tmp_path: Path, now: datetime) -> None:
    dev.ensure(tmp_path, now)
    lines = dev.ensure(tmp_path, now, extra=["more.example"])
    assert "kept" in lines[0]
    assert "made anew (the certificate doesn't name more.example)" in lines[1]
    assert all("kept" in line for line in dev.ensure(tmp_path, now, extra=["more.example"]))
    assert all("kept" in line for line in dev.ensure(tmp_path, now))


def test_force_makes_both_anew(tmp_path: Path, now: datetime) -> None:
    dev.ensure(tmp_path, now)
    before = contents(tmp_path)
    lines = dev.ensure(tmp_path, now, force=True)
    assert all("made anew (asked to)" in line for line in lines)
    assert not set(before.values()) & set(contents(tmp_path).values())


def test_an_authority_that_cannot_sign_is_said_with_the_way_out(tmp_path: Path, now: datetime) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mine")])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, None)
    )
    encoding = serialization.Encoding.PEM
    pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    store.write(tmp_path / "ca.crt", tmp_path / "ca.key", KeyPair(built.public_bytes(encoding), pem))
    with pytest.raises(ConfigError, match="ca.key: can't sign with it: .*; --force makes a new authority"):
        dev.ensure(tmp_path, now)


@pytest.mark.parametrize(
    "name",
    [
        "https://a.example",
        "a.example:8443",
        "[::1]",
        "a b",
        "",
        ".",
        "-a",
        "a_b",
        "*",
        "a.*.b",
        "1.2.3",
        "fe80::1%eth0",
    ],
)
def test_a_name_that_cannot_stand_in_a_certificate_is_refused_before_anything_is_written(
    name: str, tmp_path: Path, now: datetime
) -> None:
    with pytest.raises(ConfigError, match="--san"):
        dev.ensure(tmp_path / "certs", now, extra=[name])
    assert not (tmp_path / "certs").exists()


def test_all_bad_names_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        dev.wanted("Plim", "name space", ["a b", "fine.example", "https://x"])
    assert [problem.source for problem in caught.value.problems] == [
        "--namespace",
        "--san",
        "--san",
        "--service",
    ]


def test_the_command_passes_its_arguments_on_and_prints_a_line_for_each_certificate(
    tmp_path: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    certs.configure(parser)
    directory = str(tmp_path / "made")
    args = parser.parse_args([directory, "--service", "ship", "--namespace", "sea", "--san", "a.example", "--force"])
    rooms = argparse.Namespace(certs=dev.ensure, clock=lambda: now)
    assert certs.run(args, rooms) == 0  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("ship, ship.sea, ship.sea.svc, ship.sea.svc.cluster.local, a.example")
    pair = store.read(tmp_path / "made" / "tls.crt", tmp_path / "made" / "tls.key")
    assert issue.state(pair.certificate, pair.key, now, ["ship.sea.svc", "a.example"]) == ()


def test_the_commands_directory_is_certs_unless_named() -> None:
    parser = argparse.ArgumentParser()
    certs.configure(parser)
    assert parser.parse_args([]).directory == Path("certs")
