"""What commands that ask registries have in common: which ones, as whom, and for how long."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence

from webhook.errors import ConfigError, Problem
from webhook.model.image import Image, parse
from webhook.model.oci import Content, Inspected, Lookup
from webhook.model.record import record
from webhook.ports import ImageReader, ImageSource, Rooms, Unknown

SECONDS = 30.0
"""How long a person waits for one image: a review has a second and a half, and asks again at the next one."""
AT_ONCE = 8
"""Images that are asked for at the same time."""
SILENT = "no registry is asked here; name those that may be asked with --registries FILE or --registry HOST"


def configure(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Add `--registries`, `--registry` and `--docker-config`; `otherwise` says who is asked where none is named."""
    parser.add_argument(
        "--registries",
        default="",
        metavar="FILE",
        help=f"which registries are asked, and how: kind: Registries (default: {otherwise})",
    )
    parser.add_argument(
        "--registry",
        action="append",
        default=[],
        type=_host,
        metavar="HOST",
        help="one more registry that may be asked, over TLS and by nothing but its name (repeatable)",
    )
    parser.add_argument(
        "--docker-config",
        default="",
        metavar="PATH",
        help="who we are to registries for which the file says nothing: a docker config file, or a directory with one",
    )


def source(args: argparse.Namespace, rooms: Rooms, images: Iterable[Image] = ()) -> ImageSource:
    """Return what asks registries. Without a file, those of `images` may be asked: a person has named them.

    Raises ConfigError for a file that cannot be used.
    """
    hosts = set(args.registry) | (set() if args.registries else {image.registry for image in images})
    return rooms.registries(args.registries, sorted(hosts), args.docker_config)


def reader(args: argparse.Namespace, rooms: Rooms, images: Iterable[Image] = ()) -> ImageReader:
    """Return what a service asks about images, and waits for as long as a person does.

    Where no registry is named at all, nobody is asked. Raises ConfigError for a file that cannot be used.
    """
    images = tuple(images)
    if not (args.registries or args.registry or images):
        if args.docker_config:
            raise ConfigError([Problem("--docker-config", 0, "", f"has no use by itself: {SILENT}")])
        return _Silent()
    return _Patient(rooms.images(source(args, rooms, images)))


def contents(asked: ImageSource, images: Sequence[Image]) -> Mapping[Image, Content]:
    """Return what each image is, some asked for at a time. Raises ConfigError with each that could not be had."""
    from concurrent.futures import ThreadPoolExecutor

    def ask(image: Image) -> Content | Problem:
        try:
            return asked.content(image, SECONDS)
        except Unknown as error:
            return Problem(str(image), 0, "", str(error))

    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        answers = dict(zip(images, threads.map(ask, images), strict=True))
    finally:
        threads.shutdown(cancel_futures=True)  # who presses Ctrl-C waits for what is under way, and no more
    problems = [answer for answer in answers.values() if isinstance(answer, Problem)]
    if problems:
        raise ConfigError(problems)
    return {image: answer for image, answer in answers.items() if isinstance(answer, Content)}


def reference(text: str) -> Image:
    """Return the image that an argument names, for argparse."""
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _host(text: str) -> str:
    try:
        named = parse(f"{text}/a/b")
    except ValueError:
        named = None
    if named is None or (named.repository, named.tag, named.digest) != ("a/b", "latest", ""):
        wanted = "wanted a host as in image references, such as registry.example or registry.example:5000"
        raise argparse.ArgumentTypeError(f"{text!r} is no host of a registry; {wanted}")
    return named.registry


@record(frozen=True, slots=True)
class _Patient:
    """A reader that is given a person's time instead of a review's."""

    images: ImageReader

    def look(self, lookups: Collection[Lookup], namespace: str, timeout: float) -> Mapping[Lookup, Inspected]:
        return self.images.look(lookups, namespace, SECONDS)


class _Silent:
    """A reader that asks nobody, and says how to change that."""

    def look(self, lookups: Collection[Lookup], namespace: str, timeout: float) -> Mapping[Lookup, Inspected]:
        return dict.fromkeys(lookups, Inspected(lacking=SILENT))
