"""The served certificate: one context for the last good pair, read again when the files change."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from webhook.errors import ConfigError
from webhook.tls import issue, store
from webhook.tls.reload import EVERY, Certificate, Lacking


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(scope="module")
def pairs() -> tuple[issue.KeyPair, issue.KeyPair]:
    now = datetime.now(UTC)
    authority = issue.authority(now)
    return (
        issue.server(authority, ["localhost"], [], now, 10),
        issue.server(authority, ["localhost"], [], now, 20),
    )


@pytest.fixture
def files(tmp_path: Path, pairs: tuple[issue.KeyPair, issue.KeyPair]) -> tuple[Path, Path]:
    put(tmp_path, pairs[0])
    return tmp_path / "tls.crt", tmp_path / "tls.key"


def put(directory: Path, pair: issue.KeyPair) -> None:
    (directory / "tls.crt").write_bytes(pair.certificate)
    (directory / "tls.key").write_bytes(pair.key)


def test_one_context_serves_while_the_files_stay(files: tuple[Path, Path]) -> None:
    clock = Clock()
    certificate = Certificate(*files, clock=clock)
    first = certificate.context()
    clock.time += 10 * EVERY
    assert certificate.context() is first


def test_a_new_pair_is_served_after_a_second_at_most(
    files: tuple[Path, Path], pairs: tuple[issue.KeyPair, issue.KeyPair]
) -> None:
    clock = Clock()
    certificate = Certificate(*files, clock=clock)
    first, ends = certificate.context(), certificate.expires
    put(files[0].parent, pairs[1])
    assert certificate.context() is first, "the files aren't looked at for each connection"
    clock.time += EVERY
    assert certificate.context() is not first
    assert certificate.expires - ends == pytest.approx(timedelta(days=10).total_seconds(), abs=60)


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
def test_half_of_a_new_pair_leaves_the_last_good_one_and_is_said_once(
    files: tuple[Path, Path],
    pairs: tuple[issue.KeyPair, issue.KeyPair],
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    certificate = Certificate(*files, clock=clock)
    first = certificate.context()
    new = {"tls.crt": pairs[1].certificate, "tls.key": pairs[1].key}
    (files[0].parent / name).write_bytes(new[name])
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            clock.time += EVERY
            assert certificate.context() is first
    assert len(caplog.records) == 1
    put(files[0].parent, pairs[1])
    clock.time += EVERY
    assert certificate.context() is not first


@pytest.mark.parametrize(
    "garbage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_garbage_leaves_the_last_good_pair(files: tuple[Path, Path], garbage: bytes) -> None:
    clock = Clock()
    certificate = Certificate(*files, clock=clock)
    first = certificate.context()
    files[0].write_bytes(garbage)
    clock.time += EVERY
    assert certificate.context() is first


def test_a_secret_mounted_by_links_is_followed(tmp_path: Path, pairs: tuple[issue.KeyPair, issue.KeyPair]) -> None:
    # The kubelet moves `..data` to a new directory: tls.crt itself never changes.
    for number, pair in enumerate(pairs):
        (tmp_path / str(number)).mkdir()
        put(tmp_path / str(number), pair)
    (tmp_path / "..data").symlink_to("0")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    clock = Clock()
    certificate = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key", clock=clock)
    first = certificate.context()
    (tmp_path / "..new").symlink_to("1")
    (tmp_path / "..new").rename(tmp_path / "..data")
    clock.time += EVERY
    assert certificate.context() is not first


@pytest.mark.parametrize("missing", ["tls.crt", "tls.key"])
def test_a_start_without_a_pair_says_which_files_and_what_makes_them(files: tuple[Path, Path], missing: str) -> None:
    (files[0].parent / missing).unlink()
    with pytest.raises(ConfigError, match="plimsoll certs"):
        Certificate(*files)


def test_a_key_that_others_own_the_certificate_of_is_refused_at_start(
    files: tuple[Path, Path], pairs: tuple[issue.KeyPair, issue.KeyPair]
) -> None:
    files[1].write_bytes(pairs[1].key)
    with pytest.raises(ConfigError):
        Certificate(*files)


def test_a_pair_that_may_lack_is_served_from_one_file_as_soon_as_it_is_there(
    tmp_path: Path, pairs: tuple[issue.KeyPair, issue.KeyPair]
) -> None:
    clock, path = Clock(), tmp_path / "certificate"
    path.write_bytes(b"")
    certificate = Certificate(path, path, may_lack=True, clock=clock)
    assert certificate.expires == 0
    with pytest.raises(Lacking):
        certificate.context()
    path.write_bytes(store.join(pairs[0]))
    clock.time += EVERY
    first = certificate.context()
    assert certificate.expires == issue.window(pairs[0].certificate)[2].timestamp()
    path.write_bytes(b"")
    clock.time += EVERY
    assert certificate.context() is first
