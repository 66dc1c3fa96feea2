"""What is kept on a disk: over restarts, within bounds, and never believed when it is damaged."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webhook.model.oci import Inspected
from webhook.registry.images import FIRST, HOUR, Images
from webhook.registry.source import Unanswered
from webhook.registry.store import LEFT, SHARE, Store

Make = Callable[..., Images]
Of = Callable[..., Inspected]
Open = Callable[..., Store]

APP = "registry.example/app:1"


class Watched(Store):
    """Knows when all that was held is free again: then all that was learnt is on the disk."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.held: Counter[str] = Counter()  # one question may begin before another about the same has written
        self.changed = threading.Condition()

    def hold(self, key: str) -> bool:
        held = super().hold(key)
        if held:
            with self.changed:
                self.held[key] += 1
        return held

    def free(self, key: str) -> None:
        super().free(key)
        with self.changed:
            self.held[key] -= 1
            self.changed.notify_all()

    def settle(self) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: not any(self.held.values()), 60)


@pytest.fixture
def store(tmp_path: Path) -> Open:
    """Open the store as a worker that starts does, when those before it have written what they know.

    It waits for the disk as long as it takes.
    """
    opened: list[Watched] = []

    def make(**options: Any) -> Store:
        for one in opened:
            one.settle()
        opened.append(Watched(tmp_path, **{"patience": 60.0, **options}))
        return opened[-1]

    return make


@pytest.fixture
def files(tmp_path: Path, store: Open) -> Callable[[], list[Path]]:
    """The files of all documents, when they are written."""

    def found() -> list[Path]:
        store()
        return sorted(tmp_path.glob("facts/*.facts"))

    return found


# -- documents --------------------------------------------------------------------------------------------------------


def test_a_document_is_there_for_another_process_and_after_a_restart(store: Open) -> None:
    store().write("key", {"a": [1, "ü", None]})
    assert store().read("key") == {"a": [1, "ü", None]}
    assert store().read("other") is None


def test_the_directory_and_all_in_it_is_ours_alone(store: Open, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store().write("key", 1)
        store().hold("key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "facts").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "facts").iterdir()} == {0o600}


def test_rights_that_a_volume_gave_its_group_are_taken_back(store: Open, tmp_path: Path) -> None:
    store().write("key", 1)
    (tmp_path / "facts").chmod(0o2770)
    assert store().read("key") == 1
    assert stat.S_IMODE((tmp_path / "facts").stat().st_mode) == 0o700


def test_a_link_to_elsewhere_is_not_followed(store: Open, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "facts").symlink_to(tmp_path / "elsewhere")
    store().write("key", 1)
    assert store().read("key") is None
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_directory_that_is_removed_while_we_run_is_made_again(store: Open, tmp_path: Path) -> None:
    held = store()
    held.write("key", 1)
    shutil.rmtree(tmp_path / "facts")
    held.write("key", 2)
    assert held.read("key") == 2


def test_the_number_of_documents_is_bounded_and_the_one_used_longest_ago_goes_first(
    store: Open, files: Callable[[], list[Path]]
) -> None:
    held = store(entries=10)
    for number in range(10):
        held.write(f"key {number}", number)
    then = time.time() - HOUR
    for path in files():
        os.utime(path, (then, then))
    held.read("key 0")
    held.touch("key 1")
    held.write("key 10", 10)
    left = {number for number in range(11) if store().read(f"key {number}") == number}
    assert {0, 1, 10} <= left
    assert len(left) == 9


def test_bytes_are_bounded_too(store: Open, files: Callable[[], list[Path]]) -> None:
    held = store(weight=100_000)
    for number in range(50):
        held.write(f"key {number}", "x" * 10_000)
        assert sum(path.stat().st_size for path in files()) <= 100_000 * (1 + 2 / SHARE)


def test_what_dead_writers_left_is_removed_and_what_living_ones_write_is_not(store: Open, tmp_path: Path) -> None:
    held = store(entries=1)
    held.write("key", 1)
    dead, living = tmp_path / "facts" / "new-dead", tmp_path / "facts" / "new-living"
    for path in (dead, living):
        path.write_bytes(b"half of it")
    then = time.time() - LEFT - 1
    os.utime(dead, (then, then))
    held.write("key", 2)
    assert (dead.exists(), living.exists()) == (False, True)


def test_locks_are_not_swept_away(store: Open, tmp_path: Path) -> None:
    held = store(entries=1)
    held.hold("key")
    for number in range(5):
        held.write(f"key {number}", number)
    assert (tmp_path / "facts" / "lock").exists()


# -- facts ------------------------------------------------------------------------------------------------------------


def test_what_is_known_is_known_after_a_restart(
    make: Make, of: Of, store: Open, registry: Any, clock: Any, digest: Any
) -> None:
    pinned = f"registry.example/other@{digest('other')}"
    images = make(store())
    before = [of(images), of(images, pinned)]
    clock.now += 299
    images = make(store())
    assert [of(images), of(images, pinned)] == before
    assert of(images, f"{APP}@{digest('one')}").content == before[0].content
    assert len(registry.asked) == 2


def test_a_tag_is_as_old_after_a_restart_as_it_was_before(
    make: Make, of: Of, store: Open, registry: Any, clock: Any
) -> None:
    of(make(store()))
    clock.now += 200
    images = make(store())
    of(images)
    clock.now += 99
    of(images)
    assert registry.count("digest") == 0
    clock.now += 1
    of(images)
    assert registry.asked == [("content", APP), ("digest", APP)]


def test_former_contents_and_when_they_were_seen_outlive_a_restart(
    make: Make, of: Of, store: Open, registry: Any, clock: Any, digest: Any, content: Any
) -> None:
    images = make(store())
    for name in "abc":
        registry.tags[APP] = digest(name)
        of(images)
        clock.now += 300
    found = of(make(store()))
    assert [(former.content, former.age) for former in found.former] == [
        (content(digest("b")), 600.0),
        (content(digest("a")), 900.0),
    ]


def test_what_was_known_before_a_restart_serves_while_the_registry_is_down(
    make: Make, of: Of, store: Open, registry: Any, clock: Any, digest: Any
) -> None:
    of(make(store()))
    clock.now += HOUR
    registry.error = Unanswered("down", host="registry.example")
    images = make(store())
    assert of(images).content.digest == digest("one")
    clock.now += 24 * HOUR
    assert of(images).lacking == "down"


def test_what_another_worker_knows_is_told_while_a_registry_is_left_alone(
    make: Make, of: Of, store: Open, registry: Any, digest: Any
) -> None:
    images = make(store())
    registry.error = Unanswered("down", host="registry.example")
    of(images, "registry.example/app:2")
    registry.error = None
    of(make(store()))
    store()
    assert of(images).content.digest == digest("one")
    assert len(registry.asked) == 2


def test_that_a_tag_is_gone_is_known_after_a_restart(
    make: Make, of: Of, store: Open, registry: Any, clock: Any
) -> None:
    images = make(store())
    of(images)
    del registry.tags[APP]
    clock.now += 300
    of(images)
    registry.error = Unanswered("down")
    found = of(make(store()))
    assert (found.content, found.lacking, len(found.former)) == (None, "down", 1)


def test_what_one_worker_keeps_fresh_the_others_read(
    make: Make, of: Of, store: Open, registry: Any, clock: Any, digest: Any
) -> None:
    base, last = "registry.example/base:17", "registry.example/last:1"
    registry.tags |= {base: digest("base"), last: digest("last")}
    of(make(store()), base)
    clock.now += 200
    first = make(store())
    first.keep([base])
    first.start()
    registry.until(lambda one: one.count("digest") == 1)
    of(first, base)
    second = make(store())
    second.keep([base])
    second.warm([last])
    second.start()
    registry.until(lambda one: ("content", last) in one.asked)  # after what is kept
    assert of(second, base, timeout=0).content.digest == digest("base")
    clock.now += 149
    assert of(second, base, timeout=0).content.digest == digest("base")
    assert registry.count("digest") == 1


def test_what_was_read_with_secrets_is_kept_for_those_alone(make: Make, of: Of, store: Open, registry: Any) -> None:
    of(make(store(), pull_secrets=True), secrets=("mine",))
    images = make(store(), pull_secrets=True)
    of(images, secrets=("mine",))
    assert len(registry.asked) == 1
    of(images, secrets=("mine",), namespace="other")
    of(images)
    assert len(registry.asked) == 3


def test_a_fact_from_a_time_to_come_is_asked_for_again_and_serves_while_that_fails(
    make: Make, of: Of, store: Open, registry: Any, clock: Any, digest: Any
) -> None:
    of(make(store()))
    clock.now -= 500
    registry.error = Unanswered("down")
    images = make(store())
    assert of(images).content.digest == digest("one")
    registry.error = None
    registry.tags[APP] = digest("two")
    clock.now += FIRST
    found = of(images)
    assert found.content.digest == digest("two")
    assert [former.age for former in found.former] == [0.0]


def test_what_is_in_use_in_memory_is_not_the_first_to_go_from_the_disk(
    make: Make, of: Of, store: Open, registry: Any, clock: Any, digest: Any, files: Callable[[], list[Path]]
) -> None:
    images = make(store())
    of(images, f"registry.example/app@{digest('one')}")
    [path] = files()
    os.utime(path, (1, 1))
    of(images, f"registry.example/app@{digest('one')}")
    assert path.stat().st_mtime == 1
    clock.now += HOUR
    of(images, f"registry.example/app@{digest('one')}")
    of(images, "registry.example/app:1")  # after it, in the order of the disk's thread
    assert path.stat().st_mtime > 1


# -- damage -----------------------------------------------------------------------------------------------------------


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bent(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"}")


def older(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"plimsoll image facts 1", b"plimsoll image facts 0"))


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [empty, cut, bent, longer, older])
def test_a_damaged_file_is_thrown_away_and_what_it_held_asked_for_again(
    make: Make,
    of: Of,
    store: Open,
    registry: Any,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
    files: Callable[[], list[Path]],
) -> None:
    before = of(make(store()))
    for path in files():
        damage(path)
    with caplog.at_level(logging.WARNING):
        assert of(make(store())) == before
    assert "is damaged, and thrown away" in caplog.text
    of(make(store()))
    assert len(registry.asked) == 2


def test_a_file_in_the_place_of_another_is_not_believed(
    make: Make, of: Of, store: Open, registry: Any, digest: Any, files: Callable[[], list[Path]]
) -> None:
    registry.tags["registry.example/app:2"] = digest("two")
    images = make(store())
    of(images)
    first = files()
    of(images, "registry.example/app:2")
    second = [path for path in files() if path not in first]
    for one, other in zip(first, second, strict=True):
        held = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(held)
    images = make(store())
    assert of(images).content.digest == digest("one")
    assert of(images, "registry.example/app:2").content.digest == digest("two")
    assert registry.count("content") == 4


@pytest.mark.parametrize(
    "document",
    [5, None, [], {"history": 5, "current": True}, {"history": [["sha256:x"]], "current": True}, {"history": []}]
    + [{"history": [], "current": True}, {"history": [["sha256:x", "soon"]], "current": True}],
)
def test_a_whole_file_of_another_form_is_asked_for_again(
    make: Make, of: Of, store: Open, registry: Any, document: Any, digest: Any
) -> None:
    of(make(store()))
    store().write(APP, document)
    assert of(make(store())).content.digest == digest("one")
    assert registry.count("content") == 2


def test_content_of_another_digest_is_not_believed(
    make: Make, of: Of, store: Open, registry: Any, digest: Any, content: Any
) -> None:
    from webhook.model.oci import dump

    pinned = f"registry.example/app@{digest('one')}"
    store().write(pinned, dump(content(digest("forged"))))
    assert of(make(store()), pinned).content.digest == digest("one")
    assert registry.count("content") == 1


def test_where_the_content_of_a_tag_is_lost_what_it_stood_for_before_is_not(
    make: Make, of: Of, store: Open, registry: Any, clock: Any, digest: Any, files: Callable[[], list[Path]]
) -> None:
    images = make(store())
    of(images)
    before = files()
    registry.tags[APP] = digest("two")
    clock.now += 300
    of(images)
    [latest] = [path for path in files() if path not in before]
    latest.unlink()
    found = of(make(store()))
    assert found.content.digest == digest("two")
    assert [former.content.digest for former in found.former] == [digest("one")]


# -- disks that don't work --------------------------------------------------------------------------------------------


def test_a_file_where_the_directory_should_be_is_said_once_and_all_is_in_memory(
    make: Make, of: Of, store: Open, registry: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, digest: Any
) -> None:
    (tmp_path / "facts").write_text("in the way")
    images = make(store())
    with caplog.at_level(logging.WARNING):
        assert [of(images).content.digest for _ in range(2)] == [digest("one")] * 2
        of(images, "registry.example/app:2")
    assert len(registry.asked) == 2
    assert len(caplog.messages) == 1
    assert "what is known of images is in memory alone" in caplog.text


def test_a_disk_that_works_again_is_used_again(
    make: Make, of: Of, store: Open, registry: Any, tmp_path: Path, digest: Any
) -> None:
    (tmp_path / "facts").write_text("in the way")
    images = make(store())
    of(images)
    (tmp_path / "facts").unlink()
    of(images, f"registry.example/app@{digest('two')}")
    of(make(store()), f"registry.example/app@{digest('two')}")
    assert len(registry.asked) == 2


def test_a_directory_in_the_place_of_a_file_is_no_fact(
    make: Make, of: Of, store: Open, registry: Any, digest: Any, files: Callable[[], list[Path]]
) -> None:
    of(make(store()))
    for path in files():
        directory(path)
    assert of(make(store())).content.digest == digest("one")
    assert registry.count("content") == 2


def test_a_disk_that_hangs_holds_up_neither_a_review_nor_the_question_to_the_registry(
    make: Make, of: Of, store: Open, registry: Any, digest: Any, files: Callable[[], list[Path]]
) -> None:
    pinned = f"registry.example/app@{digest('one')}"
    of(make(store()), pinned)
    fifo = hang(files)
    images = make(store(patience=0.05))
    late = of(images, pinned, timeout=0)
    assert late.lacking == "registry.example did not answer in time"
    assert of(images, pinned).content.digest == digest("one")
    assert of(images, "registry.example/app:2").absent  # while it still hangs
    assert registry.count("content") == 3
    free(fifo)


def test_a_disk_that_hung_is_used_again_when_it_has_come_back(store: Open, files: Callable[[], list[Path]]) -> None:
    store().write("key", "there")
    fifo = hang(files)
    held = store(patience=0.05)
    assert held.read("key") is None
    free(fifo)
    while held.read("key") != "again":  # not used until its thread has come back
        held.write("key", "again")
    assert store().read("key") == "again"


def hang(files: Callable[[], list[Path]]) -> Path:
    """Put a FIFO in the place of the file: whoever opens it to read waits until somebody writes."""
    [path] = files()
    path.unlink()
    os.mkfifo(path)
    return path


def free(path: Path) -> None:
    """Let go of who waits for a FIFO, or will: he reads that it is empty, and throws it away."""
    with contextlib.suppress(FileNotFoundError):
        while stat.S_ISFIFO(path.stat().st_mode):
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError as error:
                assert error.errno in (errno.ENXIO, errno.ENOENT)  # nobody waits yet, or nobody waits any more
