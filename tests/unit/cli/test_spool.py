"""What is put away is had again as it was, wherever it is kept meanwhile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from webhook.cli.spool import ROOM, Spool, kept
from webhook.errors import ConfigError

PIECES = [b"one", b"", b"\x00\xff" * 40_000, b"last"]


@pytest.mark.parametrize("room", [0, 5, ROOM])
def test_what_is_put_away_is_had_again_from_memory_and_from_disk(room: int) -> None:
    spool = Spool(room)
    places = [(spool.put(piece), len(piece)) for piece in PIECES]
    spool.rest()
    assert [spool.get(*place) for place in places] == PIECES
    assert [spool.get(*place) for place in reversed(places)] == PIECES[::-1]


def test_processes_that_are_forked_read_without_moving_each_other() -> None:
    spool = Spool(room=0)
    numbers = range(500)
    places = [(spool.put(b"%d" % number * 100), 3 * 100) for number in numbers]
    spool.rest()
    wanted = [spool.get(*place) for place in places]
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            os._exit(sum(spool.get(*place) != was for place, was in zip(places, wanted, strict=True)) > 0)
        children.append(child)
    assert [spool.get(*place) for place in places] == wanted
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


def test_texts_come_back_in_order_when_all_were_taken() -> None:
    taken = []

    def texts() -> Iterator[str]:
        for text in ("a", "", "zwölf", "name\udcff", "b" * ROOM):
            taken.append(text)
            yield text

    found = kept(texts())
    assert len(taken) == 5
    assert list(found) == taken


def test_without_a_directory_for_it_nothing_is_asked_of_the_disk_before_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    spool = Spool(room=4)
    assert spool.get(spool.put(b"four"), 4) == b"four"
    with pytest.raises(ConfigError) as raised:
        spool.put(b"x")
    assert "No such file or directory; name a directory with room by TMPDIR" in str(raised.value)
