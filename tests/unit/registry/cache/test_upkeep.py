"""What is asked for before a review needs it: the bases of rules, again and again, and what a cluster runs, once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from webhook.model.oci import Inspected
from webhook.registry.images import FEW, Bounds, Images

Make = Callable[..., Images]
Of = Callable[..., Inspected]

BASE = "registry.example/base:17"


def test_no_thread_is_started_before_it_is_asked_for(make: Make) -> None:
    before = set(threading.enumerate())
    images = make()
    images.keep([BASE])
    images.warm([BASE])
    assert set(threading.enumerate()) == before
    images.start()
    images.start()
    started = [thread for thread in set(threading.enumerate()) - before if thread.name == "image upkeep"]
    assert len(started) == 1
    assert started[0].daemon


def test_what_is_kept_is_asked_for_before_it_is_stale_so_that_no_review_waits(
    make: Make, of: Of, registry: Any, clock: Any, digest: Any
) -> None:
    registry.tags[BASE] = digest("base")
    images = make()
    images.keep([BASE])
    images.start()
    registry.until(lambda one: one.asked == [("content", BASE)])
    assert of(images, BASE).content.digest == digest("base")
    registry.tags[BASE] = digest("rebuilt")
    clock.now += 150
    images.keep([BASE])  # as a reload does; it looks at once
    registry.until(lambda one: one.count("content") == 2)
    while (found := of(images, BASE)).content.digest != digest("rebuilt"):
        pass  # what was known serves until the answer is in
    assert [former.content.digest for former in found.former] == [digest("base")]
    registry.hold()
    clock.now += 149
    assert of(images, BASE, timeout=0).content.digest == digest("rebuilt")
    registry.release()


def test_what_is_kept_no_more_is_left_alone(make: Make, of: Of, registry: Any, clock: Any, digest: Any) -> None:
    registry.tags |= {BASE: digest("base"), "registry.example/base:21": digest("other")}
    images = make()
    images.keep([BASE])
    images.start()
    registry.until(lambda one: one.count("content") == 1)
    of(images, BASE)
    images.keep(["registry.example/base:21"])
    registry.until(lambda one: one.count("content") == 2)
    of(images, "registry.example/base:21")
    clock.now += 200
    images.keep(["registry.example/base:21"])
    registry.until(lambda one: one.count("digest") == 1)
    assert registry.asked[-1] == ("digest", "registry.example/base:21")


def test_what_a_cluster_runs_is_asked_for_a_few_at_a_time_and_what_is_no_reference_is_passed_over(
    make: Make, of: Of, registry: Any, digest: Any
) -> None:
    references = [f"registry.example/app:{number}" for number in range(40)]
    registry.tags |= {reference: digest(reference) for reference in references}
    images = make()
    images.warm(["NO reference", *references, "registry.example/none:1"])
    images.keep(["NO reference"])
    images.start()
    registry.until(lambda one: one.count("content") == 41)
    assert registry.most["registry.example"] <= FEW
    assert all(of(images, reference, timeout=0).content for reference in references[:38])


def test_what_is_known_is_not_asked_for_again_to_be_warm(make: Make, of: Of, registry: Any, digest: Any) -> None:
    registry.tags["registry.example/app:2"] = digest("two")
    images = make()
    of(images)
    images.warm(["registry.example/app:1", "registry.example/app:2"])
    images.start()
    registry.until(lambda one: len(one.asked) == 2)
    assert registry.asked[-1] == ("content", "registry.example/app:2")


def test_no_more_is_warmed_than_memory_holds(make: Make, registry: Any) -> None:
    images = make(bounds=Bounds(entries=3))
    images.warm(f"registry.example/app:{number}" for number in range(1, 1000))
    images.keep(["registry.example/last:1"])
    images.start()
    registry.until(lambda one: len(one.asked) == 4)
    images.keep([])
    images.warm(["registry.example/app:1000"])
    registry.until(lambda one: ("content", "registry.example/app:1000") in one.asked)
    assert len(registry.asked) == 5


def test_a_registry_that_is_down_does_not_stop_the_upkeep(make: Make, registry: Any, clock: Any, digest: Any) -> None:
    registry.tags["other.example/base:1"] = digest("other")
    images = make()
    images.keep([BASE, "other.example/base:1"])
    images.start()
    registry.until(lambda one: len(one.asked) == 2)
    registry.tags[BASE] = digest("base")
    clock.now += 60
    images.keep([BASE, "other.example/base:1"])
    registry.until(lambda one: one.count("content") == 3)
    assert registry.asked[-1] == ("content", BASE)
