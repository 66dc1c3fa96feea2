"""The settings of the server: one list, and the only reader of the environment.

Each field of `Settings` is one setting: `keep_alive` is the flag `--keep-alive` and the variable
`PLIMSOLL_KEEP_ALIVE`. A flag counts more than a variable, a variable more than the default.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from webhook.errors import ConfigError, Problem
from webhook.model.record import record
from webhook.model.workloads import Row, row

PREFIX = "PLIMSOLL_"

# Beside a Service called `plimsoll`, the kubelet sets PLIMSOLL_PORT=tcp://10.0.0.7:443 in every pod
# (kubernetes.io/docs/concepts/services-networking/service/#environment-variables). That is no word to us.
_LINKS = ("tcp://", "udp://", "sctp://")
_OF_A_SERVICE = re.compile(r"PLIMSOLL_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")


def _setting(default: Any, parse: Callable[[str], Any], text: str, *, many: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "help": text, "many": many})


def _text(value: str) -> str:
    return value


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        number = float(value)
        if not low <= number <= high:
            raise ValueError
        return number

    parse.__doc__ = f"a number from {low:g} to {high:g}"
    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    parse.__doc__ = f"a whole number from {low} to {high}"
    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError
        return value

    parse.__doc__ = "one of " + ", ".join(word or "(empty)" for word in words)
    return parse


def _switch(value: str) -> bool:
    """true or false"""  # noqa: D400, D415 - it stands inside a sentence
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}[value.lower()]


def _row(value: str) -> Row:
    """group/Kind:resource:path of the pod template"""  # noqa: D400, D403, D415 - it stands inside a sentence
    return row(value)


@record(frozen=True, slots=True)
class Settings:
    """What the server is told; times are seconds."""

    policies: tuple[str, ...] = _setting(
        (), _text, "pack file, directory, glob or shipped:NAME; default: the shipped packs", many=True
    )
    bind: tuple[str, ...] = _setting(
        ("0.0.0.0", "::"),  # noqa: S104 - API servers come from other hosts
        _text,
        "address to listen on for admission reviews",
        many=True,
    )  # noqa: S104
    port: int = _setting(8443, _whole(0, 65535), "TLS port for admission reviews; 0 takes a free one")
    health_port: int = _setting(8080, _whole(0, 65535), "plain HTTP port for /healthz, /readyz and /metrics")
    certificate: str = _setting("certs/tls.crt", _text, "PEM file with the server's certificate and its chain")
    key: str = _setting("certs/tls.key", _text, "PEM file with the certificate's private key")
    client_ca: str = _setting("", _text, "PEM file: only clients with a certificate of this authority are served")
    tls_minimum: str = _setting("1.2", _one_of("1.2", "1.3"), "lowest TLS version that is spoken")
    workers: int = _setting(2, _whole(1, 32), "worker processes; give each a core")
    workload: tuple[Row, ...] = _setting(
        (),
        _row,
        "a workload kind of your own, as group/Kind:resource:path of its pod template, such as "
        "acme.example/Service:services:spec.template",
        many=True,
    )
    mode: str = _setting("", _one_of("", "enforce", "dry-run"), "judge as if every pack had this mode")
    dry_run: bool = _setting(False, _switch, "deny nothing, whatever packs say; findings become annotations")
    poll: float = _setting(5.0, _number(0.1, 3600), "seconds between looks at the pack files; SIGHUP looks at once")
    drain: float = _setting(
        15.0, _number(0, 120), "seconds to go on serving after SIGTERM, not ready, each answer with Connection: close"
    )
    keep_alive: float = _setting(
        150.0, _number(1, 3600), "seconds a connection may be idle; API servers keep theirs 90"
    )
    handshake: float = _setting(5.0, _number(0.1, 60), "seconds for a whole TLS handshake")
    head: float = _setting(10.0, _number(0.1, 60), "seconds for a whole request head, from its first byte")
    body: float = _setting(10.0, _number(0.1, 60), "seconds for a whole body; each further MiB has a second more")
    write: float = _setting(10.0, _number(0.1, 60), "seconds for writing a whole answer")
    body_limit: int = _setting(7 * 2**20, _whole(1024, 64 * 2**20), "largest request body in bytes")
    connections: int = _setting(256, _whole(1, 10000), "connections a worker holds")
    requests: int = _setting(128, _whole(1, 10000), "requests a worker has in work at once")
    deadline: float = _setting(
        10.0, _number(0.1, 30), "seconds for a decision where the caller names no shorter timeout"
    )
    watch_packs: bool = _setting(
        False, _switch, "take packs from the cluster: RulePacks, and ConfigMaps of our own namespace that are labelled"
    )
    webhooks: str = _setting(
        "", _text, "name of our webhook configurations, which are kept as the packs need them; default: left alone"
    )
    webhook_exclude: tuple[str, ...] = _setting(
        (),
        _text,
        "namespace that these leave out, besides kube-system, kube-node-lease, our own, and those that packs exclude",
        many=True,
    )
    webhook_timeout: int = _setting(
        3, _whole(1, 30), "seconds that API servers are told to wait for /validate and /advise"
    )
    certificate_secret: str = _setting(
        "",
        _text,
        "Secret of our own namespace to keep the certificate in, made and renewed by ourselves; its "
        "authority is in NAME-ca; default: --certificate and --key",
    )
    certificate_grace: float = _setting(
        600.0,
        _number(1, 86400),
        "seconds that API servers and replicas have for each step of a change of the certificate's authority",
    )
    lease: str = _setting("plimsoll", _text, "Lease of our own namespace by which replicas agree who writes")
    service: str = _setting("plimsoll", _text, "our Service, which the certificate is made for")
    events: bool = _setting(False, _switch, "write an Event for what is refused, at its owner")
    registries: str = _setting(
        "", _text, "YAML file with the image registries that may be asked what images are; default: none is asked"
    )
    image_cache: str = _setting(
        "", _text, "directory for what images are, over restarts and for all workers; default: memory alone"
    )
    image_fresh: float = _setting(
        300.0, _number(1, 86400), "seconds after which a tag is asked for again; digests never are"
    )
    registry_secret: tuple[str, ...] = _setting(
        (), _text, "Secret of our own namespace with a docker config for registries", many=True
    )
    pod_secrets: bool = _setting(
        False, _switch, "ask registries with a pod's own pull secrets, too; needs the right to get Secrets everywhere"
    )
    warm: bool = _setting(
        False, _switch, "ask registries at start about the images that the cluster runs; needs the right to list Pods"
    )
    record: str = _setting(
        "", _text, "directory to keep reviews in, redacted, for plimsoll impact; default: none are kept"
    )
    record_every: int = _setting(1, _whole(1, 1_000_000), "keep one of so many reviews, drawn by chance")
    record_files: int = _setting(
        16, _whole(2, 10_000), "files of kept reviews, more than workers; the oldest goes first"
    )
    record_bytes: int = _setting(64 * 2**20, _whole(2**20, 2**40), "bytes that kept reviews take together")
    trace: str = _setting(
        "",
        _text,
        "OTLP/HTTP receiver that traces of reviews are sent to, such as http://otel-collector:4318; default: none",
    )
    trace_every: int = _setting(
        1, _whole(1, 1_000_000), "trace one of so many reviews, by chance; those that the API server traces follow it"
    )
    log_level: str = _setting("info", _one_of("debug", "info", "warning", "error"), "least level that is logged")
    log_format: str = _setting("json", _one_of("json", "text"), "json for machines, text for people")
    register: bool = _setting(False, _switch, "register with the cluster of the kubeconfig, for development")
    kubeconfig: str = _setting("", _text, "kubeconfig for --register; default: KUBECONFIG, then ~/.kube/config")
    url: str = _setting("", _text, "where the API server finds us, for --register; default: loopback and our port")
    ca: str = _setting("", _text, "PEM file of the certificate's authority, for --register; default: ca.crt beside it")
    yes: bool = _setting(False, _switch, "register with an API server that isn't on loopback, too")

    @property
    def writes(self) -> bool:
        """Whether a review leaves a trace elsewhere, if it is no dry run: `sideEffects` is NoneOnDryRun then."""
        return bool(self.record) or self.events


@record(frozen=True, slots=True)
class Option:
    """One setting as a command line shows it."""

    name: str
    flag: str
    variable: str
    default: str
    help: str
    many: bool
    switch: bool


def options() -> tuple[Option, ...]:
    """Return every setting, in the order of the list."""
    return tuple(
        Option(
            name=item.name,
            flag="--" + item.name.replace("_", "-"),
            variable=PREFIX + item.name.upper(),
            default=_shown(item.default),
            help=item.metadata["help"],
            many=item.metadata["many"],
            switch=item.metadata["parse"] is _switch,
        )
        for item in dataclasses.fields(Settings)
    )


def read(flags: Mapping[str, str | bool | Sequence[str] | None], environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from command-line `flags` (None: not given) and the environment.

    A repeatable setting is a comma-separated list in its variable. Raises ConfigError with every value that
    is not allowed, and every variable with our prefix that no setting has.
    """
    environ = os.environ if environ is None else environ
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for item in dataclasses.fields(Settings):
        variable = PREFIX + item.name.upper()
        flag = flags.get(item.name)
        if flag is not None and flag is not False:
            source, given = "--" + item.name.replace("_", "-"), _texts(flag)
        elif variable in environ and not environ[variable].startswith(_LINKS):
            source, given = (
                variable,
                _texts(environ[variable].split(",") if item.metadata["many"] else environ[variable]),
            )
        else:
            continue
        parsed = [value for text in given for value in _parse(source, text, item.metadata["parse"], problems)]
        if item.metadata["many"]:
            values[item.name] = tuple(parsed)
        elif parsed:
            values[item.name] = parsed[-1]
    problems += _unknown(environ)
    if problems:
        raise ConfigError(problems)
    return Settings(**values)


@record(frozen=True, slots=True)
class Place:
    """How the environment says to reach an API server.

    `service` is the host and port that Kubernetes puts into pods, None outside of one. `kubeconfigs` are the
    files in kubectl's order; `named` says that somebody named them for us, and not only for kubectl.
    `environ` is for the programs that a kubeconfig runs to log in.
    """

    service: tuple[str, str] | None
    kubeconfigs: tuple[str, ...]
    named: bool
    environ: Mapping[str, str]


def place(settings: Settings, environ: Mapping[str, str] | None = None) -> Place:
    """Return how to reach an API server: the setting comes before KUBECONFIG, that before the home's file."""
    environ = os.environ if environ is None else environ
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    several = tuple(path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path)
    home = (environ.get("HOME", "") + "/.kube/config",)
    return Place(
        service=(host, port) if host else None,
        kubeconfigs=(settings.kubeconfig,) if settings.kubeconfig else several or home,
        named=bool(settings.kubeconfig),
        environ=dict(environ),
    )


def plain(environ: Mapping[str, str] | None = None) -> bool:
    """Say whether colours are unwanted: NO_COLOR is there and not empty (no-color.org), or the terminal is dumb."""
    environ = os.environ if environ is None else environ
    return bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"


def _texts(given: str | bool | Sequence[str]) -> list[str]:
    if isinstance(given, bool):
        return ["true" if given else "false"]
    return [given] if isinstance(given, str) else [text.strip() for text in given if text.strip()]


def _parse(source: str, text: str, parse: Callable[[str], Any], problems: list[Problem]) -> list[Any]:
    try:
        return [parse(text)]
    except (ValueError, KeyError):
        problems.append(Problem(source, 0, "", f"{text!r} is not allowed; wanted {parse.__doc__}"))
        return []


def _unknown(environ: Mapping[str, str]) -> list[Problem]:
    # A misspelt variable would otherwise be a setting that silently does nothing. Only what is nearly a
    # setting is refused: the kubelet sets PLIMSOLL_SERVICE_HOST and the like beside a Service of our name.
    known = {option.variable for option in options()}
    problems = []
    for name in environ:
        if not name.startswith(PREFIX) or name in known or _OF_A_SERVICE.fullmatch(name):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if near:
            problems.append(Problem(name, 0, "", f"no such setting; did you mean {near[0]}?"))
    return problems


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ", ".join(default)
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default is False else str(default)
