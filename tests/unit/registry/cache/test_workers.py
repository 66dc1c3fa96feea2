"""Workers of a pod share what they know: one asks, the others are told, and none waits for one that died."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from webhook.model.oci import Inspected
from webhook.registry.images import Images, Terms
from webhook.registry.store import Store

POD = [sys.executable, str(Path(__file__).with_name("pod.py"))]
APP = "registry.example/app:1"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that another user may go into."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    yield place
    ends = time.monotonic() + 10
    while place.exists() and time.monotonic() < ends:  # a thread writes what was learned last, and nobody waits for it
        shutil.rmtree(place, ignore_errors=True)
    assert not place.exists()


def run(place: Path, what: str) -> tuple[list[Any], str]:
    """Run a pod to its end and return what it says, and its log."""
    done = subprocess.run([*POD, str(place), what], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def asked(place: Path) -> Counter[str]:
    return Counter((place / "asked").read_text().splitlines())


def test_a_thousand_reviews_of_fifty_images_in_four_workers_make_fifty_look_ups(place: Path) -> None:
    assert run(place, "pod")[0] == [250] * 4
    assert len(asked(place)) == 50
    assert set(asked(place).values()) == {1}
    assert all(line.startswith("content ") for line in asked(place))


def test_a_pod_that_is_started_again_makes_none(place: Path) -> None:
    run(place, "pod")
    assert run(place, "pod")[0] == [250] * 4
    assert set(asked(place).values()) == {1}


def test_without_a_directory_each_worker_asks_once(place: Path) -> None:
    assert run(place, "memory")[0] == [250] * 4
    assert len(asked(place)) == 50
    assert set(asked(place).values()) == {4}


def test_a_worker_that_is_killed_while_it_asks_holds_nobody_up(
    place: Path, make: Callable[..., Images], of: Callable[..., Inspected], registry: Any
) -> None:
    images = make(Store(place / "cache", patience=60))
    with subprocess.Popen([*POD, str(place), "hang"], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b'"asking"\n'
        assert of(images, timeout=0).lacking
        worker.kill()
    assert of(images).content is not None
    assert registry.count("content") == 1


def test_a_worker_that_hangs_is_waited_for_and_then_not(place: Path, registry: Any) -> None:
    from webhook.model.oci import Lookup

    images = Images(registry, Store(place / "cache", patience=60), terms=Terms(question=0.2))
    with subprocess.Popen([*POD, str(place), "hang"], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        assert images.look([Lookup(APP)], "shop", 60)[Lookup(APP)].content is not None
        worker.kill()


def test_what_is_known_of_old_serves_while_another_worker_asks(
    place: Path, make: Callable[..., Images], of: Callable[..., Inspected], registry: Any, clock: Any, digest: Any
) -> None:
    """The other worker holds the tag, and its registry hangs; all that we know stands on the disk."""
    of(make(Store(place / "cache", patience=60)))
    clock.now += 300
    held = subprocess.Popen([*POD, str(place), "hold"], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    with held:
        assert held.stdout is not None
        assert held.stdout.readline() == b'"held"\n'
        images = make(Store(place / "cache", patience=60))
        while of(images, timeout=0.05).content is None:
            pass
        assert of(images, timeout=0).content.digest == digest("one")
        assert registry.count("digest") == 0
        held.kill()
    while registry.count("digest") == 0:
        of(images, timeout=0.05)


def test_a_process_that_is_forked_late_starts_anew(place: Path) -> None:
    parent, child = run(place, "late")[0]
    assert child[0] == parent[0]
    assert child[1].startswith("sha256:")
    assert asked(place) == {"content registry.example/app:1": 1, "content registry.example/app:2": 1}


def test_a_process_that_stops_waits_for_no_registry(place: Path) -> None:
    assert "registry.example did not answer in time" in run(place, "stop")[0]


@pytest.mark.parametrize("what", ["full", "read-only"])
def test_a_disk_that_takes_nothing_is_said_once_and_all_is_in_memory(place: Path, what: str) -> None:
    (left, *said), log = run(place, what)
    assert left == []
    assert said[0] == said[1]
    assert said[0][0].startswith("sha256:")
    assert len(asked(place)) == 1
    assert log.count("is in memory alone") == 1
    assert not list(place.glob("cache/facts/*.facts"))
