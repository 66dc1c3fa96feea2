"""Development certificates in a directory: an authority and a server, made, kept or renewed as they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from webhook.errors import ConfigError, Problem
from webhook.tls import issue, store
from webhook.tls.issue import KeyPair

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


def ensure(
    directory: Path,
    now: datetime,
    *,
    service: str = "plimsoll",
    namespace: str = "plimsoll",
    extra: Sequence[str] = (),
    force: bool = False,
) -> list[str]:
    """See that `ca.crt`, `ca.key`, `tls.crt` and `tls.key` in `directory` can be served with.

    A pair is made anew when it is missing, unreadable, mismatched, not valid at `now` (aware), past two
    thirds of its life, or, for the server, without one of its names or not of this authority; `force` makes
    both anew. The names are localhost, 127.0.0.1, ::1, the four in-cluster names of `service` in
    `namespace`, and `extra`. Returns what was done, one sentence a file pair. Raises ConfigError for names
    that can't stand in a certificate and for files that can't be read or written.
    """
    names = wanted(service, namespace, extra)
    lines: list[str] = []
    ca_files = directory / "ca.crt", directory / "ca.key"
    ca = store.read(*ca_files)
    reason = "asked to" if force else _authority_reason(ca, now)
    if reason:
        ca = issue.authority(now)
        store.write(*ca_files, ca)
    lines.append(_line(ca_files[0], ca, reason))
    files = directory / "tls.crt", directory / "tls.key"
    pair = store.read(*files)
    reason = "asked to" if force else _reason(pair, now, names, ca.certificate)
    if reason:
        dns, addresses = issue.sort(names)
        try:
            pair = issue.server(ca, dns, addresses, now)
        except ValueError as error:
            text = f"can't sign with it: {error}; --force makes a new authority"
            raise ConfigError([Problem(str(ca_files[1]), 0, "", text)]) from error
        store.write(*files, pair)
    lines.append(f"{_line(files[0], pair, reason)}, for {', '.join(names)}")
    return lines


def wanted(service: str, namespace: str, extra: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the server certificate, in order and once each; ConfigError names every bad one.

    The API server calls `service` by `<service>.<namespace>.svc`; the other three forms are for people in a
    pod.
    """
    cluster = [
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.cluster.local",
    ]
    problems = []
    for option, value in (("--service", service), ("--namespace", namespace)):
        if not _LABEL.match(value):
            problems.append(
                Problem(
                    option,
                    0,
                    "",
                    f"{value!r} is no name of a {option[2:]}: small letters, digits and -, at most 63",
                )
            )
    for value in extra:
        if not _valid(value):
            problems.append(
                Problem(
                    "--san",
                    0,
                    "",
                    f"{value!r} is neither a DNS name nor an IP address (no scheme, no port, no brackets)",
                )
            )
    if problems:
        raise ConfigError(problems)
    return tuple(dict.fromkeys(["localhost", "127.0.0.1", "::1", *cluster, *(_plain(value) for value in extra)]))


def _authority_reason(ca: KeyPair, now: datetime) -> str:
    # An authority is its own issuer; a server certificate put in its place would not verify as one.
    return _reason(ca, now, (), ca.certificate)


def _reason(pair: KeyPair, now: datetime, names: Sequence[str], ca: bytes) -> str:
    """Return why a pair has to be made anew, or nothing."""
    if not pair.certificate and not pair.key:
        return "there was none"
    faults = issue.state(pair.certificate, pair.key, now, names, ca)
    if faults:
        return "; ".join(fault.text for fault in faults)
    _, due, end = issue.window(pair.certificate)
    return f"two thirds of its life are over, it would end on {end:%Y-%m-%d}" if now >= due else ""


def _line(path: Path, pair: KeyPair, reason: str) -> str:
    end = issue.window(pair.certificate)[2].astimezone(UTC)
    return f"{path}: {f'made anew ({reason})' if reason else 'kept'}, valid to {end:%Y-%m-%d}"


def _address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    return str(ip_address(name)) if _address(name) else name.lower().removesuffix(".")


def _valid(name: str) -> bool:
    """Hold to RFC 1123 names with at most one wildcard, as the first label, and to addresses without a
    zone."""
    if _address(name):
        return "%" not in name
    plain = _plain(name)
    labels = plain.removeprefix("*.").split(".")
    # Four numbers that are no address, and the like, would be taken for a name by nobody.
    return len(plain) <= 253 and all(_LABEL.match(label) for label in labels) and not labels[-1].isdigit()
