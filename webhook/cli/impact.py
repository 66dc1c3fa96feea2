"""`plimsoll impact`: whom a change of a pack stops, before it does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from webhook.cli import crew, policies, registries
from webhook.cli.effect import sources
from webhook.cli.effect.body import NO_RULE, Body, Case
from webhook.cli.effect.compare import Around, Heard, Impact, Side, court, impact
from webhook.cli.effect.show import Report, Title
from webhook.cli.judge import ONLY_FILES, Namespaces
from webhook.cli.policies import jobs
from webhook.cli.progress import bar
from webhook.cli.shelf import Shelf
from webhook.errors import ConfigError, Problem
from webhook.model.workloads import table
from webhook.packs.rule import Ruleset
from webhook.ports import Cluster, Rooms

HELP = "say what changes between two versions of a pack: whom it stops"
FORMATS = ("text", "json", "html")
NONE = "none"
LABELS = ("plimsoll.dev/owner", "app.kubernetes.io/part-of", "team")
"""What says whose an object is: our own annotation, Kubernetes' recommended label, and the commonest word for it."""
ONLY_SEEN = "only what was recorded is looked at, and not what a cluster has"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Judges a body of objects by two versions of a pack, with the engine and the facts of the server, and says of "
        "which the verdict changes: newly denied, newly warned of, let in again, by namespace and owner. The body is "
        "manifests, recorded reviews, an audit log or a cluster. OLD is judged as it is today, NEW on --date: the same "
        "pack as both says whom its enforceFrom stops then. Exit: 0 nothing newly denied, 1 something newly denied, "
        "2 wrong use or bad input."
    )
    parser.add_argument(
        "old", metavar="OLD", help="the pack as it is: file, directory, glob or shipped:NAME; none: no pack yet"
    )
    parser.add_argument("new", metavar="NEW", help="the pack as it is to be; none: without it")
    body = parser.add_argument_group("the body of objects, exactly one of")
    body.add_argument(
        "--manifests",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="manifests: file, directory (with all below it), glob, or - for stdin",
    )
    body.add_argument(
        "--reviews",
        action="append",
        default=[],
        metavar="PATH",
        help="what `plimsoll serve --record` wrote (repeatable)",
    )
    body.add_argument(
        "--audit-log",
        action="append",
        default=[],
        metavar="FILE",
        help="audit log of an API server, level Request or above, or - for stdin (repeatable)",
    )
    body.add_argument("--cluster", action="store_true", help="what a cluster holds of the kinds that the packs concern")
    facts = parser.add_argument_group("which cluster is asked, for --cluster, and for what stands around other objects")
    facts.add_argument("--kubeconfig", default="", metavar="FILE", help="default for --cluster: as kubectl")
    facts.add_argument("--context", default="", metavar="NAME", help="context of the kubeconfig")
    parser.add_argument("--date", type=policies.day, metavar="DAY", help="judge NEW on this day (default: today)")
    parser.add_argument("--mode", choices=("enforce", "dry-run"), help="judge NEW as if every pack had this mode")
    parser.add_argument(
        "--without-fixes",
        action="store_true",
        help="judge objects as they are written, as where no /mutate is registered",
    )
    parser.add_argument(
        "--owner-label",
        action="append",
        default=[],
        metavar="KEY",
        help=f"label or annotation that says whose an object is (repeatable; default: {', '.join(LABELS)})",
    )
    parser.add_argument(
        "-n", "--namespace", default="default", metavar="NAME", help="namespace of manifests that name none"
    )
    policies.workloads(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("-j", "--jobs", type=jobs, metavar="N", help="processes that judge (default: one a processor)")
    registries.configure(parser, "none is asked")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Compare and print; return 0, 1 or 2. Raises ConfigError where packs or the body cannot be used."""
    _one_body(args)
    now = rooms.clock()
    old = Side(args.old, _rules(args, rooms, args.old, None), lambda: now)
    day = policies.at(args.date) if args.date else lambda: now
    new = Side(args.new, _rules(args, rooms, args.new, args.mode), day)
    cluster = None
    if args.cluster or args.kubeconfig or args.context:
        cluster = rooms.cluster(args.kubeconfig, args.context, new.ruleset.kinds)
    body = _body(args, cluster, (old, new))
    found = _compared(args, rooms, old, new, body, cluster)
    if not found.total:
        raise ConfigError(sorted(set(body.problems)) or _nothing(found))
    title = Title(args.old, args.new, now.date(), args.date or now.date(), args.mode)
    sys.stdout.writelines(_report(args, rooms).pieces(title, found))
    sys.stdout.flush()  # before the diagnostics, where both go to one terminal
    for problem in sorted(set(body.problems)):
        print(problem, file=sys.stderr)
    if body.problems:
        return 2
    return 1 if found.count("denied") else 0


def _one_body(args: argparse.Namespace) -> None:
    given = [name for name in ("manifests", "reviews", "audit_log", "cluster") if getattr(args, name)]
    if len(given) == 1:
        return
    names = "--manifests, --reviews, --audit-log or --cluster"
    text = f"an object in two bodies would count twice; name one of {names}" if given else f"names none; give {names}"
    raise ConfigError([Problem("the body of objects", 0, "", text)])


def _rules(args: argparse.Namespace, rooms: Rooms, name: str, mode: str | None) -> Ruleset:
    kinds = table(args.workload)
    if name == NONE:
        return Ruleset(kinds=kinds)
    if name == "-":
        raise ConfigError([Problem("-", 0, "", "packs to compare are not read from stdin; name a file")])
    return policies.compiled(rooms, [name], mode, kinds)


def _body(args: argparse.Namespace, cluster: Cluster | None, sides: Sequence[Side]) -> Body:
    body = Body()
    sources.manifests(body, args.manifests, args.jobs, sys.stderr.isatty())
    sources.reviews(body, args.reviews)
    sources.audit(body, args.audit_log)
    if args.cluster and cluster is not None:
        sources.live(body, cluster, frozenset((group, kind) for side in sides for _, group, kind in side.ruleset.index))
    return body


def _compared(
    args: argparse.Namespace, rooms: Rooms, old: Side, new: Side, body: Body, cluster: Cluster | None
) -> Impact:
    cases = list(body.cases.values())
    images = registries.reader(args, rooms)
    if cluster is not None:
        around = Around(cluster.namespaces, cluster.neighbours, cluster.owners, images)
    else:
        shelf = Shelf.of([case.packed for case in cases], args.namespace, ONLY_FILES if args.manifests else ONLY_SEEN)
        around = Around(Namespaces(sources.known_namespaces(body)), shelf, None, images)
    hear = court(old, new, around, args.namespace, args.owner_label or LABELS, not args.without_fixes)

    def work(part: Sequence[Case]) -> list[Heard | Problem | None]:
        return [hear(case) for case in part]

    # what is learnt of a cluster is known to one process, and asked for once
    hands = 1 if cluster is not None else crew.hands(args.jobs, len(cases))
    parts = bar(crew.spread(work, cases, hands), crew.parts(len(cases)), "judging", sys.stderr.isatty())
    heard = [one for part in parts for one in part]
    body.problems += [one for one in heard if isinstance(one, Problem)]
    strangers = heard.count(None)
    if strangers:
        body.left[NO_RULE] += strangers
    return impact([one for one in heard if isinstance(one, Heard)], body.left)


def _nothing(found: Impact) -> list[Problem]:
    """Return why there is nothing to say: that nothing is stopped would be no answer."""
    why = [f"{what}: {number}" for what, number in found.left.most_common()]
    text = "no object is left to judge" + (f"; {'; '.join(why)}" if why else "; it is empty")
    return [Problem("the body of objects", 0, "", text)]


def _report(args: argparse.Namespace, rooms: Rooms) -> Report:
    """Return the report that is asked for; each is imported for itself alone."""
    if args.output == "json":
        from webhook.cli.effect.json import Json

        return Json()
    if args.output == "html":
        from webhook.cli.effect.page import Page

        return Page()
    from webhook.cli.effect.text import Text

    return Text(sys.stdout.isatty() and not rooms.plain)
