"""A container is not a virtual machine: it runs one service, and nobody logs in.

## What it does
Reads what containers start: `command` and `args`, and the command of a `postStart` hook, with `$(NAME)` expanded,
through `tini`, `dumb-init`, `exec`, `env`, `gosu` and their like, and into scripts given by `sh -c`. It finds

- servers to log in by (`sshd`), cron (`crond`), also as `service cron start` and `/etc/init.d/ssh start`,
- init systems (`/sbin/init`, `systemd`) and supervisors of processes (`supervisord`, `runsvdir`),
- containers that are kept alive without doing anything: `sleep infinity`, `tail -f /dev/null`,
  `while true; do sleep 60; done`, a `sleep` of a day or more, or of an hour where it is all that runs, a shell or `cat`
  with a `tty` that waits for somebody to type,
- ports for logging in (22), and pods in the node's own namespaces.

`tini` and `dumb-init` are fine: they hand on signals, and start one program. A pause before the service starts, a loop
with work in it, and a sidecar that follows a log file by `tail -F` are fine, too. An init container that waits is not
judged as kept alive; it ends, or the pod never starts. Ephemeral containers are for looking around, and not judged.

What a script in the image does cannot be seen. Without `command`, the first word of `args` may be a subcommand of
the image's own program: daemons are found there only by their whole path (`/usr/sbin/sshd`).

## Why
With a second process behind a supervisor, the container runs while the service is down, and no probe, no log and no
restart tells. A server to log in by is a door beside those of the cluster, with keys of its own. Cron in a
container runs once in every replica, or never while it restarts. A container that only sleeps holds its memory for
somebody who works in it by hand. A pod in the node's namespaces sees, signals or listens to everybody on the node.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostPID: true
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      command: [sh, -c, "service ssh start && cron && tail -f /dev/null"]
      ports: [{containerPort: 22}]
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      command: [tini, --, /app/web]
      ports: [{containerPort: 8080}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: report
              image: registry.example/shop/web:1.4.2
              command: [/app/report]
```

## Parameters
Each of the first four is a list of globs on names of programs; with a `/` in it, on the whole path. An empty list asks
for nothing.

- `logins`: servers to log in by; default `sshd`, `dropbear`.
- `inits`: init systems; default `/sbin/init`, `/usr/sbin/init`, `systemd`, `openrc-init`, `runit-init`, `my_init`.
- `supervisors`: supervisors of processes; default `supervisord`, `runsvdir`, `runsv`, `runit`, `s6-svscan`, `svscan`,
  `svscanboot`, `monit`, `circusd`.
- `crons`: daemons that start other programs by the clock; default `cron`, `crond`, `anacron`, `fcron`, `atd`.
- `keepAlive`: whether containers may be kept alive without doing anything; default `false`.
- `ports`: ports that no container has; default `[22]`.
- `hostNamespaces`: which of `hostPID`, `hostIPC` and `hostNetwork` no pod asks for; default all three.

Node agents need the node's network, Git servers take port 22, `kubectl debug node/...` makes a pod in the node's
namespaces: exempt them by name, image and namespace.

```yaml
exemptions:
  - rules: [not-a-vm]
    match: {namespaces: [monitoring], names: [node-exporter], kinds: [DaemonSet, Pod]}
    reason: reads the network and the processes of the node
    owner: observability team
    expires: 2027-03-31
```

## Fix
None. What the service is among all that runs there, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

import re2

from webhook.checks.check import Check, ParamError
from webhook.model import env
from webhook.model.decision import Violation
from webhook.model.glob import KEPT, compile_globs
from webhook.model.pods import Container, Pod, listing, mapping
from webhook.model.record import record
from webhook.model.shell import SHELLS, Start, Words, plain, starts

ID = "not-a-vm"
_HOST = ("hostPID", "hostIPC", "hostNetwork")


def _programs(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": f"{description}; globs on names or paths."}


PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "logins": _programs("Servers to log in by"),
        "inits": _programs("Init systems"),
        "supervisors": _programs("Supervisors of processes"),
        "crons": _programs("Daemons that start other programs by the clock"),
        "keepAlive": {
            "type": "boolean",
            "description": "Whether containers may be kept alive without doing anything.",
        },
        "ports": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 65535},
            "description": "Ports that no container has.",
        },
        "hostNamespaces": {
            "type": "array",
            "items": {"type": "string", "enum": list(_HOST)},
            "description": "Namespaces of the node that no pod asks for.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "logins": ["sshd", "dropbear"],
    "inits": ["/sbin/init", "/usr/sbin/init", "systemd", "openrc-init", "runit-init", "my_init"],
    "supervisors": [
        "supervisord",
        "runsvdir",
        "runsv",
        "runit",
        "s6-svscan",
        "svscan",
        "svscanboot",
        "monit",
        "circusd",
    ],
    "crons": ["cron", "crond", "anacron", "fcron", "atd"],
    "keepAlive": False,
    "ports": [22],
    "hostNamespaces": list(_HOST),
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)
CEL = "it reads commands as a shell does, which CEL cannot"

# (parameter, reason, wanted)
_KINDS_OF_PROGRAMS = (
    ("logins", "server to log in by", "kubectl exec or kubectl debug"),
    ("inits", "init system", "the service's own program, behind tini where it leaves children"),
    ("supervisors", "supervisor of processes", "one program for each container"),
    ("crons", "cron in a container", "a CronJob"),
)
_KEPT_ALIVE = "kept alive without doing anything"
# how a service's script in /etc/init.d is called, where that is not the name of its program
_SERVICES = {"ssh": "sshd", "supervisor": "supervisord"}
_DURATION = re2.compile(r"([0-9]{1,15}(?:\.[0-9]{0,9})?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_HOUR, _DAY = 3600, 86400
# programs of which their other words tell what they do
_READ = frozenset({"sleep", "tail", "cat", "service", "rc-service", "systemctl", "sshd"})


@record(frozen=True, slots=True)
class Programs:
    """Programs that don't belong into a container, compiled: why, what to use instead."""

    reason: str
    wanted: str
    by_name: Callable[[str], bool]
    by_path: Callable[[str], bool]

    def __call__(self, path: str) -> bool:
        """Say whether a program, given by its name or path, is one of these."""
        return self.by_path(path) or self.by_name(path.rpartition("/")[2])


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled. `forbids` gives all of the `programs` that a name or path is one of."""

    forbids: Callable[[str], tuple[Programs, ...]]
    keep_alive: bool
    ports: frozenset[int]
    host: tuple[str, ...]


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for an empty glob, or one with a space."""
    problems = []
    programs = []
    for key, reason, wanted in _KINDS_OF_PROGRAMS:
        for number, text in enumerate(params[key]):
            if not text or " " in text:
                problems.append(
                    ((key, number), f"{text!r} is not the glob of a program; wanted its name or path alone")
                )
        names = compile_globs(text for text in params[key] if "/" not in text)
        paths = compile_globs(text for text in params[key] if "/" in text)
        programs.append(Programs(reason, wanted, names, paths))
    if problems:
        raise ParamError(problems)
    ports = frozenset(params["ports"])
    forbids = _remembered(tuple(programs))
    standard = Standard(forbids, params["keepAlive"], ports, tuple(params["hostNamespaces"]))
    return Check(pod=partial(_pod, standard), kept=partial(_kept, standard))


def _remembered(programs: tuple[Programs, ...]) -> Callable[[str], tuple[Programs, ...]]:
    """Return what gives all of `programs` that a program is one of, and knows its last answers but for long words."""

    def forbids(path: str) -> tuple[Programs, ...]:
        return tuple(one for one in programs if one(path))

    known = lru_cache(maxsize=128)(forbids)
    return lambda path: known(path) if len(path) <= KEPT else forbids(path)


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard, as most do."""
    for key in standard.host:
        if pod.spec.get(key) is True:
            return False
    for container in pod.containers:
        if container.role != "ephemeral" and not (_is_service(standard, container) and _no_login(standard, container)):
            return False
    return True


def _is_service(standard: Standard, container: Container) -> bool:
    """Say whether a container starts one program, which is fine whatever its other words are."""
    command, args = listing(container.spec.get("command")), listing(container.spec.get("args"))
    if container.spec.get("lifecycle") and mapping(container.spec["lifecycle"]).get("postStart"):
        return False
    words = command or args
    if not words:
        return True
    program = words[0]
    if not isinstance(program, str) or "$" in program or not plain(program):
        return False
    name = program.rpartition("/")[2]
    if name in _READ or name.startswith("python") or program.startswith("/etc/init.d/"):
        return False
    return (not command and name == program) or not standard.forbids(program)


def _no_login(standard: Standard, container: Container) -> bool:
    for port in listing(container.spec.get("ports")):
        said = mapping(port)
        for value in (said.get("containerPort"), said.get("hostPort")):
            if isinstance(value, int) and value in standard.ports:
                return False
    return True


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    for key in standard.host:
        if pod.spec.get(key) is True:
            wanted = "a pod in namespaces of its own"
            yield Violation(f"{pod.pointer}/spec/{key}", "namespace of the node", f"{key}: true", wanted)
    for container in pod.containers:
        if container.role != "ephemeral":
            yield from _started(standard, container)
            yield from _ports(standard, container, pod.spec.get("hostNetwork") is True)


def _ports(standard: Standard, container: Container, on_node: bool) -> Iterator[Violation]:
    for number, port in enumerate(map(mapping, listing(container.spec.get("ports")))):
        for key in ("containerPort", "hostPort"):
            value = port.get(key)
            if isinstance(value, int) and value in standard.ports:
                at = f"{container.pointer}/ports/{number}/{key}"
                # in the network of the node, the API server says so in pods, and not in their templates
                reach: tuple[str, ...] = ("the node",) if on_node or port.get("hostPort") else ()
                same = (f"{key} {value} {port.get('protocol') or 'TCP'}",)
                yield Violation(at, "port to log in by", f"{key} {value}", "no such port", container.name, same, reach)
                break


def _started(standard: Standard, container: Container) -> Iterator[Violation]:
    """Yield what a container starts and should not, for each reason once."""
    first: dict[str, tuple[str, str, str]] = {}
    every: dict[str, list[str]] = {}
    for pointer, argv, subcommand in _lines(container):
        for start in starts(argv):
            bare = subcommand and start.words == argv
            for reason, wanted in _reasons(standard, container, start, bare, pointer):
                first.setdefault(reason, (pointer, _shown(start), wanted))
                every.setdefault(reason, []).append(" ".join(start.words))
    for reason, (pointer, found, wanted) in first.items():
        yield Violation(pointer, reason, found, wanted, container.name, tuple(every[reason]))


def _lines(container: Container) -> Iterator[tuple[str, Words, bool]]:
    """Yield each command line: where it stands, its words, and whether its first may be the image's subcommand."""

    def words(value: Any) -> Words:
        texts = [text for text in listing(value) if isinstance(text, str)]
        if not any(["$" in text for text in texts]):
            return tuple(texts)
        environment = env.read(container.spec)
        expanded = [value.text for value in env.words(texts, environment.find)]
        return tuple(text if new is None else new for text, new in zip(texts, expanded, strict=True))

    command, args = words(container.spec.get("command")), words(container.spec.get("args"))
    key = "command" if command else "args"
    yield f"{container.pointer}/{key}", (*command, *args), not command
    hook = mapping(mapping(mapping(container.spec.get("lifecycle")).get("postStart")).get("exec"))
    if hook:
        yield f"{container.pointer}/lifecycle/postStart/exec/command", words(hook.get("command")), False


def _reasons(
    standard: Standard, container: Container, start: Start, bare: bool, pointer: str
) -> Iterator[tuple[str, str]]:
    if start.idle or _does_nothing(start) or _listens_to_nobody(container, start):
        if not standard.keep_alive and container.role != "init" and "/lifecycle/" not in pointer:
            yield _KEPT_ALIVE, "the service's own program, or no container"
        return
    program = _daemon(start.words)
    if program and not (bare and "/" not in program):
        for programs in standard.forbids(program):
            yield programs.reason, programs.wanted


def _daemon(words: Words) -> str:
    """Return the program that really runs: of a service, of a script by an interpreter; '' where none stays."""
    name = words[0].rpartition("/")[2]
    action: Words = ()
    if name in ("service", "rc-service") and len(words) > 2:
        action = (words[1], words[2])
    elif name == "systemctl" and len(words) > 2:
        action = (words[2].removesuffix(".service"), words[1])
    elif words[0].startswith("/etc/init.d/") and len(words) > 1:
        action = (name, words[1])
    if action:
        return _SERVICES.get(action[0], action[0]) if action[1] in ("start", "restart") else ""
    if name.startswith("python") and len(words) > 1 and words[1].startswith("/"):
        return words[1]
    if name == "sshd" and set(words) & {"-t", "-T", "-V"}:
        return ""  # only tries the settings
    return words[0]


def _does_nothing(start: Start) -> bool:
    words = start.words
    if start.program == "sleep":
        return _seconds(words[1:]) >= (_HOUR if start.alone else _DAY)
    if start.program == "tail":
        options = [word for word in words[1:] if word.startswith("-")]
        follows = any(word.startswith("--follow") or (word[1:2] != "-" and "f" in word.lower()) for word in options)
        return follows and "/dev/null" in words and not any(w[0] == "/" and w != "/dev/null" for w in words[1:] if w)
    return False


def _listens_to_nobody(container: Container, start: Start) -> bool:
    """Say whether a shell or `cat` waits for somebody to type: without a `tty` it ends, or is fed by a program."""
    typed = start.program == "cat" or start.program in SHELLS
    waits = container.spec.get("tty") is True and start.alone and typed
    return waits and all(word.startswith("-") for word in start.words[1:])


def _seconds(words: Words) -> float:
    """Return how long `sleep` sleeps; 0 where it cannot be read."""
    total = 0.0
    for word in words:
        if word in ("infinity", "inf"):
            return float("inf")
        match = _DURATION.fullmatch(word)
        total += float(match[1]) * _UNITS[match[2]] if match else 0
    return total


def _shown(start: Start) -> str:
    text = " ".join(start.words)
    return text if len(text) <= 60 else text[:60] + "…"
