"""`plimsoll uninstall`: out of a cluster's way, at once, and then out of the cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from webhook.ports import Remnant, Rooms, Uninstaller, Unknown

HELP = "take Plimsoll out of a cluster's way, at once"
WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
"""What makes the API server ask Plimsoll; always first, since from then on nothing else can be in anybody's way."""
REST = (
    *("PodDisruptionBudget", "HorizontalPodAutoscaler", "Deployment", "Service", "NetworkPolicy", "ResourceQuota"),
    *("ConfigMap", "Lease", "RoleBinding", "Role", "ClusterRoleBinding", "ClusterRole", "ServiceAccount"),
)
"""What an installation by plain manifests consists of, in the order in which it goes: the rights last."""
PACKS = ("CustomResourceDefinition",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Takes away the webhook configurations of Plimsoll, so that the API server asks it no more, whether it lives "
        "or not: those with the label app.kubernetes.io/name=plimsoll, and what `plimsoll serve --register` left. Only "
        "what holds webhooks named *.plimsoll.dev and none else is taken. The server, its rights and its packs stay, "
        "but for --all and --packs. Exit: 0 all is gone, or there was nothing; 1 something of ours is still there; "
        "2 wrong use, or a cluster that does not answer."
    )
    parser.add_argument("--all", action="store_true", help="then also the server with all that has its label")
    parser.add_argument("--packs", action="store_true", help="then also the kind RulePack, with every pack in it")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be taken away")
    parser.add_argument("-y", "--yes", action="store_true", help="don't ask")
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="default: as kubectl")
    parser.add_argument("--context", default="", metavar="NAME", help="context of the kubeconfig")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Do it and print a line for each object; return 0, 1 or 2. Raises ConfigError for a kubeconfig of no use."""
    kinds = (*WEBHOOKS, *(REST if args.all else ()), *(PACKS if args.packs else ()))
    cluster = rooms.uninstall(args.kubeconfig, args.context)
    found, silent = _find(cluster, kinds)
    if len(silent) == len(kinds):
        return 2
    going = [one for one in found if not one.stays]
    for one in found:
        print(f"{_name(one)}: {_plan(one)}")
    if not found and not silent:
        print("nothing of Plimsoll's is there" if len(kinds) > 2 else "no webhook configuration of Plimsoll's is there")
    stays = len(found) > len(going)
    if args.dry_run or not going:
        return 1 if silent or (stays and not args.dry_run) else 0
    if not (args.yes or _agreed(len(going))):
        return 2
    failed = [one for one in going if not _remove(cluster, one)]
    _next(args, found, failed, silent)
    return 1 if failed or silent or stays else 0


def _find(cluster: Uninstaller, kinds: Sequence[str]) -> tuple[list[Remnant], list[str]]:
    """Return what there is, in the order in which it goes, and the kinds of which the cluster did not tell."""
    found: list[Remnant] = []
    silent: list[str] = []
    for kind in kinds:
        try:
            found += cluster.find(kind)
        except Unknown as error:  # who may not list one kind shall still get rid of the other
            silent.append(kind)
            print(f"{kind}: cannot be looked for: {error}", file=sys.stderr)
    return found, silent


def _plan(one: Remnant) -> str:
    if one.stays:
        return f"stays: {one.stays}"
    return f"to be taken away ({one.about})" if one.about else "to be taken away"


def _agreed(number: int) -> bool:
    """Ask on a terminal; elsewhere, say that nobody can be asked."""
    if not sys.stdin.isatty():
        print("nothing is taken away: nobody can be asked here, so give --yes if it is meant", file=sys.stderr)
        return False
    print(f"Take away {'this' if number == 1 else f'these {number}'}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    print("nothing is taken away", file=sys.stderr)
    return False


def _remove(cluster: Uninstaller, one: Remnant) -> bool:
    try:
        done = cluster.remove(one)
    except Unknown as error:
        sys.stdout.flush()
        print(f"{_name(one)}: is still there: {error}", file=sys.stderr)
        return False
    print(f"{_name(one)}: {'taken away' if done else 'had gone already'}")
    return True


def _next(args: argparse.Namespace, found: Sequence[Remnant], failed: Sequence[Remnant], silent: Sequence[str]) -> None:
    """Say how things stand now, and what belongs to going wholly."""
    left = {*silent, *(one.kind for one in found if one.stays or one in failed)}
    if left.isdisjoint(WEBHOOKS):
        print("The API server asks Plimsoll no more.")
    if not args.all:
        print("The server and its rights are left: helm uninstall, or plimsoll uninstall --all, takes them away.")
    if not args.packs:
        print("Packs in the cluster (RulePack), if there are any, are kept: --packs takes them away, too.")


def _name(one: Remnant) -> str:
    return f"{one.kind} {one.namespace}/{one.name}" if one.namespace else f"{one.kind} {one.name}"
