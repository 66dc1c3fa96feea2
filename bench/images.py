"""What it costs a review that what it asks of an image is known, and the memory that it takes to know it."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from statistics import quantiles
from time import process_time_ns

import orjson

from bench.cpu import Bench
from bench.results import Figure
from webhook.model.image import Image
from webhook.model.oci import Build, Content, Layer, Lookup, Platform, dump, load
from webhook.registry.images import Images, Terms

TURNS, CALLS = 40, 2_000
KNOWN = 1_000
SECONDS = 60.0


def digest(name: str) -> str:
    """Return the digest of a name."""
    return "sha256:" + sha256(name.encode()).hexdigest()


def content(name: str, tag: str = "1") -> Content:
    """Return an image as builders make them: two platforms, twelve layers, a history and some labels."""
    layers = tuple(Layer(digest(f"{name} {number}"), 10_000_000) for number in range(12))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": "10001",
            "Env": [f"VARIABLE_{number}=a value of some length" for number in range(12)],
            "Entrypoint": ["java", "-jar", "/app/app.jar"],
            "Labels": {f"org.opencontainers.image.label{number}": f"{name} of {tag}" for number in range(10)},
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(f"{name} {number} diff") for number in range(12)]},
        "history": [{"created": "2026-11-20T12:00:00Z", "created_by": "RUN " + "step " * 20} for _ in range(20)],
    }
    found = digest(name + tag)
    builds = tuple(Build(found, Platform("linux", machine), config, layers) for machine in ("amd64", "arm64"))
    return Content(found, builds, index=True)


class Registry:
    """Has every image, and each of its tags is another one whenever it is asked."""

    def __init__(self) -> None:
        """Start with none asked."""
        self.asked = 0

    def digest(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> str:
        """Return a digest that was never there."""
        self.asked += 1
        return digest(f"{image}{self.asked}")

    def content(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> Content:
        """Return an image."""
        self.asked += 1
        made = content(str(image), str(self.asked))
        return load({**dump(made), "digest": image.digest or made.digest})


def figures(bench: Bench) -> Iterator[Figure]:
    """Yield CPU a look-up of what is known, and bytes of memory for a byte of JSON."""
    turns = TURNS // 4 if bench.quick else TURNS
    many = [Lookup(f"registry.example/app:{number}") for number in range(10)]
    for name, lookups, moved, aim, text in (
        ("one", many[:1], 0, 50.0, "a look-up of one image that is known"),
        ("former", many[:1], 10, 50.0, "the same, of a tag that stood for ten other digests before"),
        ("ten", many, 0, None, "the same of ten images"),
    ):
        yield Figure(f"images/{name}", _cost(lookups, moved, turns), "µs", aim, text)
    yield Figure("images/memory", _memory(), "x", None, "bytes of memory for a byte of JSON that is kept")


def _cost(lookups: list[Lookup], moved: int, turns: int) -> float:
    """Return the lower quartile of the CPU µs of a call, after each tag was seen to move so often."""
    now = 0.0
    images = Images(Registry(), clock=lambda: now, wall=lambda: now)
    for _ in range(moved + 1):
        now += Terms().fresh
        found = images.look(lookups, "shop", SECONDS)
    assert all(one.content and len(one.former) == moved for one in found.values())
    return quantiles([_turn(lambda: images.look(lookups, "shop", SECONDS)) for _ in range(turns)], n=4)[0]


def _turn(call: Callable[[], object]) -> float:
    begun = process_time_ns()
    for _ in range(CALLS):
        call()
    return (process_time_ns() - begun) / CALLS / 1_000


def _memory() -> float:
    texts = [orjson.dumps(dump(content(str(number)))) for number in range(KNOWN)]
    gc.collect()
    tracemalloc.start()
    kept = [load(orjson.loads(text)) for text in texts]
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(kept) == KNOWN
    return used / sum(map(len, texts))
