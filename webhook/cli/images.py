"""`plimsoll images`: what an image is, what it was, and why it is approved or not."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC

from webhook.checks import CHECKS
from webhook.cli import files, objects, policies, registries
from webhook.cli.emit import yaml_text
from webhook.cli.image import lock, show, why
from webhook.cli.judge import ONLY_FILES, Judged, Namespaces, Neighbours, court
from webhook.cli.objects import Manifest
from webhook.errors import ConfigError, Problem
from webhook.model import oci
from webhook.model.image import Image
from webhook.model.workloads import table
from webhook.packs.compile import ruleset as compiled
from webhook.packs.load import load
from webhook.ports import Rooms

HELP = "ask registries what images are, lock them, and say why one is approved"
OTHERWISE = "the registries of the images that are named, over TLS and with nothing special"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the three commands and their arguments."""
    parser.description = (
        "Asks registries about images. Only registries that a file or the command line names are asked; a name that "
        "leads to this machine, or to a cloud's metadata, is refused unless the file lists that range of addresses. "
        "Exit: 0 well, 1 the image is denied, 2 wrong use, bad input, or a registry that does not answer."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="inspect | lock | why")
    _configure_inspect(commands.add_parser("inspect", help="show what an image is"))
    _configure_lock(commands.add_parser("lock", help="write down what images are, for rules to trust"))
    _configure_why(commands.add_parser("why", help="say why an image is approved or not, rule by rule"))


def _configure_inspect(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shows what an image is, for each platform: digest, user, command, variables of Java, labels, size, and what "
        "it says its base is. Every digest is verified."
    )
    parser.add_argument("image", type=registries.reference, metavar="IMAGE", help="reference, with tag or digest")
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json", "yaml"),
        default="text",
        help="default: text; json is all that is known, yaml that for facts.images of a RulePackTest",
    )
    registries.configure(parser, OTHERWISE)


def _configure_lock(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes a lock file: the digests of images, and of their layers for each platform, on this day. Either all "
        "images are had, or nothing is written."
    )
    parser.add_argument("images", nargs="*", type=registries.reference, metavar="IMAGE", help="reference")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", metavar="FILE", help="where to write (default: stdout)")
    where.add_argument(
        "--update",
        metavar="FILE",
        help="renew the entries of this lock file, and add the images named; what did not change stays as it is",
    )
    parser.add_argument(
        "--keep-former",
        action="store_true",
        help="with --update: leave what an image was before below its new entry, so that it stays approved",
    )
    registries.configure(parser, "the registries of the images that are named, or stand in the file to renew")


def _configure_why(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Judges a pod that has nothing but this image, and says of each rule that looks at images whether it is kept, "
        "what was found and what is wanted; then compares the image's layers with those of the nearest base. Bases in "
        "other registries than the image's are asked for where --registries or --registry names those."
    )
    parser.add_argument("image", type=registries.reference, metavar="IMAGE", help="reference, with tag or digest")
    policies.configure(parser)
    parser.add_argument("-n", "--namespace", default="default", metavar="NAME", help="where the pod would be")
    registries.configure(parser, OTHERWISE)


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Do it and return 0 or 1. Raises ConfigError for bad input, and for what registries do not tell."""
    doing = {"inspect": _inspect, "lock": _lock, "why": _why}
    return doing[args.command](args, rooms)


def _inspect(args: argparse.Namespace, rooms: Rooms) -> int:
    image: Image = args.image
    content = registries.contents(registries.source(args, rooms, [image]), [image])[image]
    if args.output == "json":
        import orjson

        print(orjson.dumps(oci.dump(content), option=orjson.OPT_INDENT_2).decode())
    elif args.output == "yaml":
        sys.stdout.write(yaml_text({str(image): oci.dump(content)}))
    else:
        sys.stdout.writelines(f"{line}\n" for line in show.lines(image, content))
    return 0


def _lock(args: argparse.Namespace, rooms: Rooms) -> int:
    images = list(dict.fromkeys(args.images))
    if args.update:
        return _update(args, rooms, images)
    if args.keep_former:
        raise ConfigError([Problem("--keep-former", 0, "", "is for --update FILE, which renews a file that is there")])
    if not images:
        raise ConfigError([Problem("plimsoll images lock", 0, "", "name an IMAGE, or a file by --update FILE")])
    contents = registries.contents(registries.source(args, rooms, images), images)
    entries = lock.entries(contents, rooms.clock().astimezone(UTC).date())
    if args.output is None:
        sys.stdout.write(lock.text(entries))
        return 0
    files.write(args.output, lock.text(entries))
    for entry in entries:
        print(f"{entry.image}: locked, {entry.digest}")
    return 0


def _update(args: argparse.Namespace, rooms: Rooms, images: list[Image]) -> int:
    if args.update == objects.STDIN:
        raise ConfigError([Problem("--update", 0, "", "renews a file in its place; name one instead of -")])
    file = lock.read(args.update, objects.text(args.update))
    asked = list(dict.fromkeys([*file.moving, *(image for image in images if image not in file.current)]))
    source = registries.source(args, rooms, [*file.current, *images])
    entries = lock.entries(registries.contents(source, asked), rooms.clock().astimezone(UTC).date())
    renewed = lock.renew(file, entries, args.keep_former)
    if renewed.changed:
        files.write(args.update, renewed.text)
    for line in renewed.said:
        print(line)
    return 0


def _why(args: argparse.Namespace, rooms: Rooms) -> int:
    image: Image = args.image
    texts, bases = policies.given(rooms, args.policies)
    ruleset = compiled(texts, args.mode, kinds=table(args.workload), bases=bases)
    asked = why.about_images(ruleset, load(texts, CHECKS, bases).sound)
    if not asked:
        text = "no rule of these packs looks at images; name packs with --policies"
        raise ConfigError([Problem("plimsoll images why", 0, "", text)])
    rules = [rule for rule, _ in asked]
    seen = why.Seen(registries.reader(args, rooms, [image]))
    manifest = Manifest("image", why.pod(str(image), args.namespace), (1, None, 1))
    nothing = Neighbours({}, ONLY_FILES)
    hear = court(ruleset, Namespaces({}), nothing, policies.clock(args, rooms), args.namespace, seen)
    judged = hear(manifest)
    if judged is not None:
        judged = Judged(manifest, judged.review, why.only(judged.decision, rules), why.only(judged.mended, rules))
    inspected = seen.of(str(image))
    for line in why.lines(image, inspected, judged, rules, why.concerned(ruleset, manifest.value, rules)):
        print(line)
    if inspected.content is not None:
        for line in why.beside(inspected.content, why.bases(asked, seen)):
            print(line)
    return 1 if judged is not None and why.denies(judged.decision) else 0
