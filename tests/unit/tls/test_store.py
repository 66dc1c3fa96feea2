"""Key pairs in files: whole, and keys closed to others."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

import pytest

from webhook.errors import ConfigError
from webhook.tls import issue, store
from webhook.tls.issue import KeyPair


def test_a_pair_comes_back_as_it_was_written(tmp_path: Path, now: datetime) -> None:
    pair = issue.authority(now)
    crt, key = tmp_path / "deep" / "tls.crt", tmp_path / "deep" / "tls.key"
    store.write(crt, key, pair)
    assert store.read(crt, key) == pair
    assert (crt.stat().st_mode & 0o777, key.stat().st_mode & 0o777) == (0o644, 0o600)


def test_a_pair_in_one_file_comes_apart_again(now: datetime) -> None:
    pair, other = issue.authority(now), issue.authority(now)
    assert store.part(store.join(pair)) == pair
    chain = KeyPair(b"subject=leaf\n" + pair.certificate + other.certificate, pair.key)
    assert store.part(store.join(chain)) == chain
    assert store.part(b"") is None
    assert store.part(pair.certificate) is None


def test_a_key_that_was_open_is_closed_by_writing_it_anew(tmp_path: Path, now: datetime) -> None:
    key = tmp_path / "tls.key"
    key.write_bytes(b"old")
    key.chmod(0o644)
    store.write(tmp_path / "tls.crt", key, issue.authority(now))
    assert key.stat().st_mode & 0o777 == 0o600


def test_files_that_are_not_there_are_empty(tmp_path: Path) -> None:
    assert store.read(tmp_path / "a", tmp_path / "b") == KeyPair(b"", b"")


def test_a_directory_in_a_files_place_is_said_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").mkdir()
    with pytest.raises(ConfigError, match="tls.crt: can't be read: Is a directory"):
        store.read(tmp_path / "tls.crt", tmp_path / "tls.key")


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left_behind(tmp_path: Path, now: datetime) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be written"):
        store.write(tmp_path / "file" / "tls.crt", tmp_path / "file" / "tls.key", issue.authority(now))
    (tmp_path / "tls.key").mkdir()
    with pytest.raises(ConfigError, match="tls.key: can't be written"):
        store.write(tmp_path / "tls.crt", tmp_path / "tls.key", issue.authority(now))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "tls.key"]


def test_a_reader_finds_old_bytes_or_new_ones_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "tls.crt"
    old, new = b"a" * 100_000, b"b" * 100_000
    store.replace(path, old, 0o644)
    seen: set[bytes] = set()
    end = threading.Event()

    def look() -> None:
        while not end.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(20):
        store.replace(path, new, 0o644)
        store.replace(path, old, 0o644)
    end.set()
    reader.join()
    assert seen <= {old, new}
