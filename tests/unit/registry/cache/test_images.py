"""What images are: asked for once, fresh for a time, stale while there are errors, within the review's deadline."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from webhook.model.oci import Content, Inspected, Lookup
from webhook.registry.images import FIRST, HOUR, LONGEST_REST, MOST, Bounds, Images, Terms
from webhook.registry.source import Absent, Unanswered

Make = Callable[..., Images]
Of = Callable[..., Inspected]
Digest = Callable[[str], str]

APP = "registry.example/app:1"
DOWN = Unanswered("registry.example is down")


# -- how long things hold ---------------------------------------------------------------------------------------------


def test_an_image_is_asked_for_once(make: Make, of: Of, registry: Any, digest: Digest, content: Any) -> None:
    images = make()
    found = [of(images) for _ in range(3)]
    assert [one.content for one in found] == [content(digest("one"))] * 3
    assert registry.asked == [("content", APP)]


def test_what_is_written_short_is_the_same_image(make: Make, of: Of, registry: Any, digest: Digest) -> None:
    registry.tags["docker.io/library/app:latest"] = digest("hub")
    images = make()
    assert [of(images, text).content for text in ("app", "docker.io/library/app:latest")] == [
        of(images, "index.docker.io/app").content
    ] * 2
    assert len(registry.asked) == 1


def test_a_digest_is_never_asked_for_again(make: Make, of: Of, registry: Any, digest: Digest, clock: Any) -> None:
    images = make()
    reference = f"registry.example/app@{digest('one')}"
    of(images, reference)
    clock.now += 400 * 24 * HOUR
    registry.error = DOWN
    assert of(images, reference) == Inspected(of(images, reference).content)
    assert registry.asked == [("content", reference)]


def test_a_tag_is_fresh_for_a_time_then_only_its_digest_is_asked_for(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    of(images)
    clock.now += 299
    of(images)
    assert registry.count("digest") == 0
    clock.now += 1
    assert of(images).content.digest == digest("one")
    assert registry.asked == [("content", APP), ("digest", APP)]
    clock.now += 299
    of(images)
    assert len(registry.asked) == 2


def test_content_is_read_again_by_its_digest_where_a_tag_moved(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    of(images)
    registry.tags[APP] = digest("two")
    clock.now += 300
    assert of(images).content.digest == digest("two")
    assert registry.asked[1:] == [("digest", APP), ("content", f"registry.example/app@{digest('two')}")]


def test_a_tag_that_moves_to_a_digest_that_is_known_reads_nothing(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    of(images)
    of(images, f"registry.example/app@{digest('two')}")
    for name in ("two", "one"):
        registry.tags[APP] = digest(name)
        clock.now += 300
        assert of(images).content.digest == digest(name)
    assert registry.count("content") == 2


def test_what_a_tag_is_pinned_to_is_known(make: Make, of: Of, registry: Any, digest: Digest) -> None:
    images = make()
    content = of(images).content
    assert of(images, f"{APP}@{digest('one')}").content == content
    assert of(images, f"registry.example/app@{digest('one')}").content == content
    assert len(registry.asked) == 1


def test_the_same_digest_elsewhere_is_asked_for_there(make: Make, of: Of, registry: Any, digest: Digest) -> None:
    images = make()
    of(images)
    of(images, f"registry.example/other@{digest('one')}")
    assert registry.count("content") == 2


def test_an_image_that_is_not_there_is_absent_and_asked_for_again_after_a_short_time(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    missing = "registry.example/app:9"
    found = [of(images, missing) for _ in range(3)]
    assert found == [Inspected(lacking=f"registry.example has no image {missing}", absent=True)] * 3
    assert len(registry.asked) == 1
    clock.now += 30
    registry.tags[missing] = digest("nine")
    assert of(images, missing).content.digest == digest("nine")


def test_a_tag_that_is_not_there_any_more_is_absent_and_what_it_stood_for_is_former(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    of(images)
    del registry.tags[APP]
    clock.now += 300
    found = of(images)
    assert (found.content, found.absent) == (None, True)
    assert [(former.content.digest, former.age) for former in found.former] == [(digest("one"), 300.0)]
    clock.now += 30
    registry.error = DOWN
    found = of(images)
    assert (found.content, found.absent, len(found.former)) == (None, False, 1)


def test_a_tag_that_is_there_again_is_what_it_was(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    of(images)
    del registry.tags[APP]
    clock.now += 300
    of(images)
    registry.tags[APP] = digest("one")
    clock.now += 30
    found = of(images)
    assert (found.content.digest, found.former) == (digest("one"), ())
    assert registry.count("content") == 1


def test_what_is_no_reference_says_so(make: Make, of: Of, registry: Any) -> None:
    found = of(make(), "registry.example/App")
    assert found.content is None
    assert "small letters" in found.lacking
    assert registry.asked == []


# -- errors -----------------------------------------------------------------------------------------------------------


def test_the_last_known_content_of_a_tag_serves_while_its_registry_errs_until_it_is_too_old(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make(terms=Terms(kept=3600))
    of(images)
    registry.error = DOWN
    clock.now += 3599
    assert of(images) == Inspected(of(images).content)
    clock.now += 1 + FIRST
    found = of(images)
    assert (found.content, found.lacking, found.absent) == (None, "registry.example is down", False)
    assert [former.content.digest for former in found.former] == [digest("one")]


def test_who_does_not_answer_is_left_alone_twice_as_long_each_time(
    make: Make, of: Of, registry: Any, clock: Any
) -> None:
    images = make()
    registry.error = DOWN
    expected = 1
    for wait in (FIRST, 2.0, 4.0, 8.0, 16.0, MOST, MOST):
        assert [of(images).lacking for _ in range(3)] == ["registry.example is down"] * 3
        assert len(registry.asked) == expected
        clock.now += wait - 0.5
        of(images)
        assert len(registry.asked) == expected
        clock.now += 0.5
        expected += 1
    registry.error = None
    of(images)
    registry.error = DOWN
    of(images, "registry.example/app:2")
    clock.now += FIRST
    of(images, "registry.example/app:2")
    assert len(registry.asked) == expected + 2


def test_a_registry_that_asks_for_rest_gets_it(make: Make, of: Of, registry: Any, clock: Any) -> None:
    images = make()
    registry.error = Unanswered("slow down", rest=120.0)
    of(images)
    clock.now += 119
    assert of(images).lacking == "slow down"
    assert len(registry.asked) == 1
    clock.now += 1
    registry.error = None
    assert of(images).content is not None


def test_nobody_can_ask_for_rest_for_ever(make: Make, of: Of, registry: Any, clock: Any) -> None:
    images = make()
    registry.error = Unanswered("slow down", rest=1e9)
    of(images)
    clock.now += LONGEST_REST
    registry.error = None
    assert of(images).content is not None


def test_what_is_true_of_a_whole_registry_counts_for_all_its_images_and_no_others(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    registry.tags |= {"registry.example/app:2": digest("two"), "other.example/app:1": digest("three")}
    images = make()
    registry.error = Unanswered("registry.example answers 429", rest=60.0, host="registry.example")
    of(images)
    registry.error = None
    assert of(images, "registry.example/app:2").lacking == "registry.example answers 429"
    assert of(images, "other.example/app:1").content is not None
    assert len(registry.asked) == 2
    clock.now += 60
    assert of(images, "registry.example/app:2").content is not None


def test_what_a_registry_says_to_the_account_of_one_namespace_rests_no_other(
    make: Make, of: Of, registry: Any, digest: Digest
) -> None:
    registry.tags |= {"registry.example/app:2": digest("two")}
    images = make(pull_secrets=True)
    registry.error = Unanswered("registry.example answers 429", rest=60.0, host="registry.example")
    of(images, secrets=("pull",), namespace="greedy")
    registry.error = None
    assert of(images, secrets=("pull",), namespace="greedy").lacking == "registry.example answers 429"
    assert of(images, "registry.example/app:2").content is not None
    assert of(images, "registry.example/app:2", secrets=("pull",), namespace="shop").content is not None


def test_several_who_fail_at_once_count_as_one(make: Make, of: Of, registry: Any, clock: Any) -> None:
    images = make()
    registry.hold()
    lookups = [Lookup(f"registry.example/app:{number}") for number in range(4)]
    images.look(lookups, "shop", 0)
    registry.until(lambda found: found.busy["registry.example"] == 4)
    registry.error = Unanswered("down", host="registry.example")
    registry.release()
    assert {found.lacking for found in images.look(lookups, "shop", 60).values()} == {"down"}
    clock.now += FIRST
    registry.error = None
    assert of(images).content is not None


def test_an_answer_that_says_no_of_one_image_says_nothing_of_others(make: Make, of: Of, registry: Any) -> None:
    images = make()
    registry.error = Unanswered("its manifest is huge")
    of(images, "registry.example/app:2")
    registry.error = None
    assert of(images).content is not None


def test_a_question_that_breaks_is_told_and_the_next_one_goes_out(
    make: Make, of: Of, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    images = make(bounds=Bounds(threads=1))
    registry.error = ZeroDivisionError("a bug")
    assert of(images).lacking == "the question was broken off"
    registry.error = None
    assert of(images).content is not None
    assert [type(one.exc_value) for one in raised] == [ZeroDivisionError]


# -- deadlines and politeness -----------------------------------------------------------------------------------------


def test_all_images_of_a_review_are_asked_for_at_once(make: Make, registry: Any, digest: Digest) -> None:
    registry.tags = {f"registry.example/app:{number}": digest(str(number)) for number in range(4)}
    images = make()
    registry.hold()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(images.look(list(map(Lookup, registry.tags)), "shop", 60)))
    thread.start()
    registry.until(lambda one: one.busy["registry.example"] == 4)
    registry.release()
    thread.join()
    assert {lookup.reference: one.content.digest for lookup, one in found[0].items()} == registry.tags


def test_what_comes_too_late_for_a_review_is_there_for_the_next(make: Make, of: Of, registry: Any) -> None:
    images = make()
    registry.hold()
    found = of(images, timeout=0)
    assert (found.content, found.lacking, found.absent) == (None, "registry.example did not answer in time", False)
    registry.release()
    assert of(images).content is not None
    assert of(images, timeout=0).content is not None
    assert len(registry.asked) == 1


def test_what_is_known_does_not_wait_for_what_is_not(make: Make, of: Of, registry: Any) -> None:
    images = make()
    of(images)
    registry.hold()
    late = Lookup("registry.example/slow:1")
    found = images.look([Lookup(APP), late], "shop", 0)
    registry.release()
    assert found[Lookup(APP)].content is not None
    assert found[late].content is None


def test_a_question_has_its_own_bound_whatever_the_review_has(make: Make, of: Of, registry: Any) -> None:
    images = make(terms=Terms(question=7))
    of(images, timeout=600)
    assert registry.seconds == [7.0]


def test_many_reviews_at_once_make_one_question(make: Make, of: Of, registry: Any) -> None:
    images = make()
    registry.hold()
    found: list[Inspected] = []
    threads = [threading.Thread(target=lambda: found.append(of(images))) for _ in range(20)]
    for thread in threads:
        thread.start()
    registry.until(lambda one: one.busy["registry.example"] == 1)
    registry.release()
    for thread in threads:
        thread.join()
    assert all(one.content is not None for one in found)
    assert len(registry.asked) == 1


def test_a_tag_that_is_not_fresh_waits_for_its_registry_and_the_old_content_serves_if_that_is_late(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    of(images)
    registry.tags[APP] = digest("two")
    clock.now += 300
    registry.hold()
    assert of(images, timeout=0).content.digest == digest("one")
    registry.release()
    assert of(images).content.digest == digest("two")


def test_one_wait_is_enough_for_all_who_come_while_a_registry_hangs(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    of(images)
    registry.tags[APP] = digest("two")
    clock.now += 300
    registry.hold()
    of(images, timeout=0)
    clock.now += 600
    found: list[Inspected] = []
    told = threading.Event()

    def late() -> None:
        found.append(of(images, timeout=600))
        told.set()

    threading.Thread(target=late, daemon=True).start()
    assert told.wait(60)  # while the registry is held
    assert found[0].content.digest == digest("one")
    registry.release()


def test_one_registry_is_not_asked_by_all_threads_and_does_not_hold_up_another(
    make: Make, of: Of, registry: Any, digest: Digest
) -> None:
    lookups = [Lookup(f"registry.example/app:{number}") for number in range(20)]
    registry.tags = {lookup.reference: digest(lookup.reference) for lookup in lookups}
    registry.tags["other.example/app:1"] = digest("other")
    images = make(bounds=Bounds(threads=6, each_host=3))
    registry.hold()
    images.look(lookups, "shop", 0)
    assert of(images, "other.example/app:1").content is not None
    registry.until(lambda one: one.busy["registry.example"] == 3)
    registry.release()
    assert all(one.content for one in images.look(lookups, "shop", 60).values())
    assert registry.most["registry.example"] == 3


def test_when_too_many_wait_the_rest_is_unknown_at_once_and_one_registry_takes_only_half_of_the_room(
    make: Make, of: Of, registry: Any, digest: Digest
) -> None:
    registry.tags["registry.example/app:5"] = digest("five")
    images = make(bounds=Bounds(threads=1, waiting=4))
    registry.hold()
    of(images, "registry.example/app:2", timeout=0)
    registry.until(lambda one: one.busy["registry.example"] == 1)
    for number in (3, 4):
        assert "in time" in of(images, f"registry.example/app:{number}", timeout=0).lacking
    assert "too many images" in of(images, "registry.example/app:5").lacking
    for number in (1, 2):
        assert "in time" in of(images, f"other{number}.example/app:1", timeout=0).lacking
    assert "too many images" in of(images, "more.example/app:1").lacking
    registry.release()
    assert of(images, "registry.example/app:4").absent
    assert of(images, "registry.example/app:5").content is not None


def test_a_namespace_that_asks_for_very_much_leaves_room_for_others_who_come_before_it(
    make: Make, registry: Any
) -> None:
    images = make(bounds=Bounds(threads=1, waiting=16))
    registry.hold()
    many = [Lookup(f"registry.example/app:many{number}") for number in range(20)]
    images.look(many[:1], "greedy", 0)
    registry.until(lambda one: one.busy["registry.example"] == 1)
    refused = [one for one in images.look(many, "greedy", 0).values() if "too many images" in one.lacking]
    assert len(refused) == 20 - 1 - 6
    (mine,) = images.look([Lookup("registry.example/app:mine")], "modest", 0).values()
    assert "in time" in mine.lacking
    registry.release()
    assert images.look(many[6:7], "greedy", 5)
    asked = [reference for _, reference in registry.asked]
    assert asked.index("registry.example/app:mine") < asked.index("registry.example/app:many2")


def test_a_review_of_very_many_images_asks_for_as_many_as_may_wait(make: Make, of: Of, registry: Any) -> None:
    images = make(bounds=Bounds(threads=1, waiting=16))
    registry.hold()
    of(images, timeout=0)
    registry.until(lambda one: one.busy["registry.example"] == 1)
    found = images.look([Lookup(f"many{number}.example/app:1") for number in range(1000)], "shop", 0)
    assert sum("in time" in one.lacking for one in found.values()) == 16
    assert sum("too many images" in one.lacking for one in found.values()) == 984
    registry.release()


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_memory_holds_a_number_of_references_and_the_one_used_longest_ago_goes_first(
    make: Make, of: Of, registry: Any, digest: Digest
) -> None:
    images = make(bounds=Bounds(entries=2))
    references = [f"registry.example/app@{digest(name)}" for name in "abc"]
    of(images, references[0])
    of(images, references[1])
    of(images, references[0])
    of(images, references[2])
    of(images, references[0])
    assert registry.count("content") == 3
    of(images, references[1])
    assert registry.count("content") == 4


def test_memory_is_bounded_in_bytes(make: Make, of: Of, registry: Any, digest: Digest) -> None:
    images = make(bounds=Bounds(weight=25_000))
    registry.size = 10_000
    references = [f"registry.example/app@{digest(name)}" for name in "abc"]
    for reference in [*references, *references]:
        of(images, reference)
    assert registry.count("content") == 6
    of(images, references[1])
    assert registry.count("content") == 6


def test_who_names_many_images_that_are_not_there_pushes_out_none_that_are(make: Make, of: Of, registry: Any) -> None:
    images = make(bounds=Bounds(entries=3))
    of(images)
    for number in range(10):
        of(images, f"registry.example/none:{number}")
    of(images)
    assert registry.asked.count(("content", APP)) == 1


# -- what a tag stood for ---------------------------------------------------------------------------------------------


def move(images: Images, of: Of, registry: Any, clock: Any, names: str, digest: Digest) -> Inspected:
    """Have the tag stand for one digest after the other, each for 300 seconds."""
    for name in names:
        registry.tags[APP] = digest(name)
        clock.now += 300
        of(images)
    return of(images)


def test_former_contents_of_a_tag_are_told_with_their_age_the_latest_first(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make()
    found = move(images, of, registry, clock, "abbc", digest)
    clock.now += 100
    assert [(former.content.digest, former.age) for former in of(images).former] == [
        (digest("b"), 400.0),
        (digest("a"), 1000.0),
    ]
    assert found.content.digest == digest("c")


def test_a_tag_that_moves_back_has_each_digest_once(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    found = move(make(), of, registry, clock, "aba", digest)
    assert (found.content.digest, [former.content.digest for former in found.former]) == (digest("a"), [digest("b")])


def test_no_more_former_contents_are_kept_than_wanted(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    found = move(make(terms=Terms(former=3)), of, registry, clock, "abcdef", digest)
    assert [former.content.digest for former in found.former] == [digest(name) for name in "edc"]


def test_a_digest_has_nothing_former(make: Make, of: Of, registry: Any, clock: Any, digest: Digest) -> None:
    images = make()
    move(images, of, registry, clock, "ab", digest)
    assert of(images, f"{APP}@{digest('b')}").former == ()


def test_a_clock_that_is_set_back_makes_no_age_below_zero(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    wall = type(clock)()
    images = make(wall=wall)
    move(images, of, registry, clock, "ab", digest)
    wall.now = 5.0
    assert [former.age for former in of(images).former] == [0.0]
    assert move(images, of, registry, clock, "c", digest).content.digest == digest("c")


# -- pull secrets -----------------------------------------------------------------------------------------------------


def test_pull_secrets_are_ignored_where_they_are_not_wanted(make: Make, of: Of, registry: Any) -> None:
    images = make()
    for namespace, secrets in (("shop", ("mine",)), ("other", ("theirs",)), ("shop", ())):
        of(images, secrets=secrets, namespace=namespace)
    assert registry.given == [("", ())]


def test_what_was_read_with_somebodys_secrets_is_told_to_nobody_else(make: Make, of: Of, registry: Any) -> None:
    images = make(pull_secrets=True)
    for _ in range(2):
        of(images, secrets=("mine",), namespace="shop")
        of(images, secrets=("mine",), namespace="other")
        of(images, secrets=("mine", "more"), namespace="shop")
        of(images, secrets=(), namespace="shop")
    assert registry.given == [("shop", ("mine",)), ("other", ("mine",)), ("shop", ("mine", "more")), ("", ())]


def test_names_of_secrets_are_not_taken_for_others_that_read_alike(make: Make, of: Of, registry: Any) -> None:
    images = make(pull_secrets=True)
    for secrets in (("a", "b"), ("a,b",), ("a b",), ("a\nb",), ("b", "a")):
        of(images, secrets=secrets)
    assert len(registry.given) == 5


def test_that_an_image_may_not_be_seen_with_one_secret_says_nothing_of_another(
    make: Make, of: Of, registry: Any
) -> None:
    images = make(pull_secrets=True)
    registry.error = Absent("we may not see it")
    assert of(images, secrets=("wrong",)).absent
    registry.error = None
    assert of(images, secrets=("right",)).content is not None


def test_secrets_are_used_for_each_question_about_a_tag(
    make: Make, of: Of, registry: Any, clock: Any, digest: Digest
) -> None:
    images = make(pull_secrets=True)
    of(images, secrets=("mine",))
    registry.tags[APP] = digest("two")
    clock.now += 300
    of(images, secrets=("mine",))
    assert registry.given == [("shop", ("mine",))] * 3
    assert of(images, f"{APP}@{digest('two')}", secrets=("mine",)).content is not None
    assert len(registry.given) == 3


# -- figures ----------------------------------------------------------------------------------------------------------


def test_each_look_up_is_counted_by_how_it_ended(make: Make, of: Of, registry: Any, clock: Any) -> None:
    counted: Counter[str] = Counter()
    images = make(count=lambda result: counted.update([result]))
    of(images)
    of(images)
    of(images, "registry.example/none:1")
    of(images, "no reference")
    clock.now += 300
    registry.error = DOWN
    of(images)
    of(images, "registry.example/app:2")
    assert counted == {"miss": 1, "hit": 1, "absent": 1, "unknown": 2, "stale": 1}


def test_contents_are_shared_and_not_copied(make: Make, of: Of) -> None:
    images = make()
    first: Content | None = of(images).content
    assert of(images).content is first
