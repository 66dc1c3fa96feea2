"""A pod for the tests of workers: forks them as gunicorn does, and counts in a file what they ask a registry.

python pod.py <directory> <what>; what it prints is JSON, a line for each process.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from webhook.model.image import Image
from webhook.model.oci import Build, Content, Lookup, Platform
from webhook.registry.images import Images
from webhook.registry.store import Store

WORKERS, REVIEWS, IMAGES, OF_A_REVIEW = 4, 1_000, 50, 3
SECONDS = 60.0
NOBODY = 65534


def digest(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


class Registry:
    """Has every image. Each question is a line of a file; `hangs` never answers."""

    def __init__(self, log: Path, hangs: bool = False) -> None:
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self.hangs = hangs

    def digest(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> str:
        os.write(self.log, f"digest {image}\n".encode())
        return digest(str(image))

    def content(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> Content:
        os.write(self.log, f"content {image}\n".encode())
        if self.hangs:
            say("asking")
            threading.Event().wait()
        found = image.digest or digest(str(image))
        return Content(found, (Build(found, Platform("linux", "amd64"), {}),))


def say(text: object) -> None:
    os.write(1, (json.dumps(text) + "\n").encode())


def look(images: Images, references: list[str]) -> list[str]:
    """Return the digests of images, or why there is none."""
    found = images.look([Lookup(reference) for reference in references], "shop", SECONDS)
    known = [found[Lookup(reference)] for reference in references]
    return [one.content.digest if one.content else one.lacking for one in known]


def forked(run: Callable[[int], object], count: int) -> int:
    """Run in so many processes, say what comes of it, and return how many failed."""
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            try:
                say(run(number))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


def pod(images: Images) -> int:
    """A thousand reviews of fifty images, tags and digests, in a random order, four at a time in each worker."""
    references = [f"registry.example/app:{number}" for number in range(IMAGES // 2)]
    references += [f"registry.example/app@{digest(str(number))}" for number in range(IMAGES // 2)]

    def review(seed: int) -> int:
        some = random.Random(seed).sample(references, OF_A_REVIEW)
        wanted = [reference.partition("@")[2] or digest(reference) for reference in some]
        return int(look(images, some) == wanted)

    def worker(number: int) -> int:
        right: list[int] = []
        seeds = range(number, REVIEWS, WORKERS)

        def several(part: int) -> None:
            right.extend(review(seed) for seed in seeds[part::4])

        threads = [threading.Thread(target=several, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(right)

    return forked(worker, WORKERS)


def main(directory: Path, what: str) -> int:
    registry = Registry(directory / "asked", hangs=what in ("hang", "stop"))
    if what == "memory":
        return pod(Images(registry))
    store = Store(directory / "cache", patience=SECONDS)
    if what == "hold":
        assert store.hold("registry.example/app:1")
        say("held")
        threading.Event().wait()
    images = Images(registry, store)
    if what == "pod":
        return pod(images)
    if what in ("hang", "stop"):
        timeout = SECONDS if what == "hang" else 0.0
        say(images.look([Lookup("registry.example/app:1")], "shop", timeout)[Lookup("registry.example/app:1")].lacking)
        return 0
    if what == "late":  # threads are there, and locks in use, when it is forked
        say(look(images, ["registry.example/app:1"]))
        return forked(lambda _: look(images, ["registry.example/app:1", "registry.example/app:2"]), 1)
    if what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    if what == "read-only":
        (directory / "cache").mkdir(mode=0o555)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    store.write("key", "more than a hundred bytes" * 10)
    say([path.name for path in directory.glob("cache/facts/*")])
    for _ in range(2):
        say(look(images, ["registry.example/app:1"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
