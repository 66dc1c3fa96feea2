"""The JVMs that a container starts, and the options of each, as far as its manifest shows them, and its image's config.

The order in which options count, the later before the earlier (arguments.cpp, `parse_vm_init_args`; the man page of
`java`): JAVA_TOOL_OPTIONS; the command line, before whose words the launcher of JDK 9 and later puts JDK_JAVA_OPTIONS;
_JAVA_OPTIONS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

import re2

from webhook.model import env, jvm, shell
from webhook.model.java import HIDDEN, Machine, Source, hold
from webhook.model.oci import Build
from webhook.model.pods import Container, listing, mapping
from webhook.model.record import record

TOOL, LAUNCHER, LAST = "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"
# options that nothing but the launcher `java` has
_OWN = frozenset({"-jar", "-cp", "-classpath", "--class-path"})
# start scripts that everybody knows: Tomcat, Kafka, ZooKeeper, Keycloak
_SERVERS = frozenset(
    {
        *("catalina.sh", "kafka-server-start.sh", "zookeeper-server-start.sh", "connect-distributed.sh"),
        *("connect-standalone.sh", "zkServer.sh", "kc.sh"),
    }
)
# what hides a name, and what all names of a JVM and of `_SERVERS` have in them
_SIGNS = ("$", "\\", "'", '"', "`", "java", ".sh")
# programs whose words start nothing in this container
_TALKERS = frozenset({"echo", "printf", "kubectl", "oc", "docker", "podman", "nerdctl", "ssh"})
_UNSET = re2.compile(r"(?:^|[\s;&|(])(?:unset|-u|--unset)[ =][^;&|\n]*")
_IMAGE = "the image's own command"
_LONGEST = 65_536  # characters that the variables of a command line may hold together; a person writes far less
_REFERENCE = re2.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^}$]*))?\})")


@record(frozen=True, slots=True)
class Start:
    """What the manifest of a container says of its JVMs, and its image where that is known.

    `lines` are the options of each `java` that it starts; `server`: it starts a script that is known to start one.
    `wrapped`: a program of the image stands before `java`; `opaque`: a script reads more options out of a file.
    `scripts` are the variables that scripts pass on, in their order. `environment` is the manifest's, `inherited` are
    the variables that the image sets and the manifest leaves.
    """

    container: Container
    environment: env.Environment
    lines: tuple[tuple[Source, ...], ...]
    server: bool
    wrapped: bool
    opaque: bool
    scripts: tuple[str, ...]
    image: Build | None = None
    inherited: Mapping[str, env.Value] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether a JVM is started, or there are variables that only a JVM reads.

        The image's own are for what it starts itself, and not for a `command` of the manifest.
        """
        names = (TOOL, LAUNCHER, LAST, *self.scripts)
        if self.lines or self.server or any(_filled(self.environment.values.get(name)) for name in names):
            return True
        own = listing(self.container.spec.get("command"))
        return not own and any(_filled(self.inherited.get(name)) for name in names)

    @property
    def direct(self) -> bool:
        """Whether a command that is seen starts `java`, so that no entrypoint of the image stands before it."""
        seen = listing(self.container.spec.get("command")) or self.image is not None
        return bool(self.lines and not self.wrapped and seen)

    def machines(self, launcher: bool) -> Iterator[Machine]:
        """Give each JVM; `launcher`: it may read JDK_JAVA_OPTIONS."""
        before = self._variable(TOOL) + (self._variable(LAUNCHER) if launcher else [])
        if not self.lines:
            for name in self.scripts:
                before += self._variable(name, script=True)
        first, last = hold(before, {}), hold(self._variable(LAST), {})
        for line in self.lines or [()]:
            held = hold(line, first)
            held = last if HIDDEN in last else {**held, **last}
            yield Machine(held, HIDDEN not in held and not self.opaque and not self.environment.open)

    def _variable(self, name: str, script: bool = False) -> list[Source]:
        """Return the options that a variable holds; nothing where it is not set."""
        value = self.environment.values.get(name, self.inherited.get(name))
        if value is None or value.text == "":
            return []
        words = None if value.text is None else tuple(value.text.split()) if script else jvm.split(value.text)
        options = (jvm.Option("", "", unknown=True),) if words is None else tuple(jvm.options(words))
        where, pointer = _place(self.container, name, at(self.container, name))
        return [Source(f"{where}, if a script passes it on" if script else where, pointer, options)]


def _filled(value: env.Value | None) -> bool:
    return value is not None and value.text != ""


def variables(scripts: Iterable[str]) -> frozenset[str]:
    """Return the names of the variables that a JVM reads, or that scripts pass on to one."""
    return frozenset({TOOL, LAUNCHER, LAST, *scripts})


def silent(container: Container, names: frozenset[str], image: Build | None = None) -> bool:
    """Say whether nothing in a container's manifest can run a JVM, as far as that is seen without reading it closely.

    `names` are those of `variables`. Words without quotes and references stand for themselves: what they start stands
    in them as it is called. `image` is what the container runs, where that is known.
    """
    for entry in listing(container.spec.get("env")):
        name = mapping(entry).get("name")
        if isinstance(name, str) and name in names:
            return False
    given = (*listing(container.spec.get("command")), *listing(container.spec.get("args")))
    if image is not None and not listing(container.spec.get("command")):
        if not image.environment.keys().isdisjoint(names):
            return False
        given = (*image.entrypoint, *(given or image.arguments))
    if not given:
        return True
    words = [word for word in given if isinstance(word, str)]
    text = "\n".join(words)
    if any([sign in text for sign in _SIGNS]) or any([name in text for name in names]):
        return False
    return _OWN.isdisjoint(words)


def start(container: Container, scripts: Sequence[str], image: Build | None = None) -> Start:
    """Return what a container's manifest says of its JVMs, and its image where that is known.

    `scripts` are variables that scripts pass on to them.
    """
    written = env.read(container.spec, keep=True)
    words = _words(container, written, image)
    names = (TOOL, LAUNCHER, LAST, *scripts)
    # what a script sets is not what the manifest says
    gone = {word for match in _UNSET.finditer(" ".join(words)) for word in match[0].split()}
    changed = {name: env.UNKNOWN for name in names if name in gone or any(f"{name}=" in word for word in words)}
    environment = env.Environment({**written.values, **changed}, written.open)
    inherited = _inherited(environment, image)
    everything = env.Environment({**inherited, **environment.values}, environment.open)
    began = tuple(shell.starts(words))
    programs = {one.program for one in began}
    launches = [(one, launch) for one in began if (launch := _launch(one)) is not None]
    return Start(
        container,
        environment,
        tuple(_lines(container, everything, [launch for _, launch in launches], image)),
        server=bool(programs & _SERVERS),
        wrapped=any(one.program != "java" for one, _ in launches),
        opaque=bool(programs & {".", "source"}),
        scripts=tuple(scripts),
        image=image,
        inherited=inherited,
    )


def _inherited(environment: env.Environment, image: Build | None) -> dict[str, env.Value]:
    """Return the variables of the image that stay; with `envFrom`, any of them may be another."""
    if image is None or environment.open:
        return {}
    return {name: env.Value(text) for name, text in image.environment.items() if name not in environment.values}


def at(container: Container, name: str) -> str:
    """Return where a variable stands, the last of its name; '' where it does not."""
    return _entry(container, name)[0]


def literal(container: Container, name: str) -> str | None:
    """Return the text of a variable as it is written; None where it is absent, or no literal."""
    pointer, entry = _entry(container, name)
    value = entry.get("value", "")
    return value if pointer and isinstance(value, str) and not entry.get("valueFrom") else None


def _entry(container: Container, name: str) -> tuple[str, Mapping[str, Any]]:
    found: tuple[str, Mapping[str, Any]] = ("", mapping(None))
    for number, entry in enumerate(listing(container.spec.get("env"))):
        if mapping(entry).get("name") == name:
            found = f"{container.pointer}/env/{number}", entry
    return found


def _words(container: Container, environment: env.Environment, image: Build | None) -> tuple[str, ...]:
    """Return what is started: `command` and `args`, expanded as the kubelet does it, or what the image has instead.

    A `command` leaves nothing of the image's own, `args` alone leave its entrypoint.
    """
    given = [*listing(container.spec.get("command")), *listing(container.spec.get("args"))]
    texts = [text for text in given if isinstance(text, str)]
    words = [value.text or "" for value in env.words(texts, environment.find, keep=True)]
    if image is not None and not listing(container.spec.get("command")):
        return (*image.entrypoint, *(words or image.arguments))
    if not listing(container.spec.get("command")) and words[:1] and words[0].startswith("-"):
        # only the launcher has these options: the image's entrypoint is `java`
        return ("java", *words) if _OWN & set(words) and "java" not in map(shell.name, words) else tuple(words)
    return tuple(words)


def _launch(start: shell.Start) -> tuple[str, ...] | None:
    """Return the words behind `java`, where a program is it, or starts it (`wait-for-it.sh db:5432 -- java -jar a`)."""
    if start.program == "java":
        return start.words[1:]
    names = [shell.name(word) for word in start.words]
    behind = start.words[names.index("java") + 1 :] if "java" in names else ()
    return behind if _OWN & set(behind) and start.program not in _TALKERS else None


def _lines(
    container: Container, environment: env.Environment, launches: Sequence[tuple[str, ...]], image: Build | None
) -> Iterator[tuple[Source, ...]]:
    """Give the options of each `java` that is started with something to run."""
    if not launches:
        return
    origins, pointers = _origins(container, environment), _pointers(container)
    key = "command" if listing(container.spec.get("command")) else "args" if image is None else _IMAGE
    for words in launches:
        pieces = tuple(_expanded(words, environment))
        written, given = dict(pieces), jvm.launched(tuple(text for text, _ in pieces))
        if given is not None:
            options = [
                (opt, origins.get(opt.text) or origins.get(written[opt.text], key)) for opt in jvm.options(given)
            ]
            yield tuple(Source(*_place(container, origin, pointers.get(origin, "")), (opt,)) for opt, origin in options)


def _pointers(container: Container) -> dict[str, str]:
    """Return where each variable stands, the last of its name: for those of many that are asked for, as `at` is not."""
    names = [mapping(entry).get("name") for entry in listing(container.spec.get("env"))]
    return {name: f"{container.pointer}/env/{n}" for n, name in enumerate(names) if isinstance(name, str)}


def _place(container: Container, origin: str, pointer: str) -> tuple[str, str]:
    """Return how a place is called, and where it stands: `command`, `args`, the image, or a variable of either.

    `pointer` is where a variable of that name stands, '' for none.
    """
    if origin in ("command", "args"):
        return origin, f"{container.pointer}/{origin}"
    named = _IMAGE if origin == _IMAGE else f"{origin} of the image"
    return (origin, pointer) if pointer else (named, f"{container.pointer}/image")


def _origins(container: Container, environment: env.Environment) -> dict[str, str]:
    """Return in which variable, or whether in `command` or `args`, a word is written."""
    found = {}
    for name, value in environment.values.items():
        for text in value.text.split() if value.text else ():
            found[text] = name
    # what both hold is the command line's own
    for key in ("args", "command"):
        for word in listing(container.spec.get(key)):
            for text in word.split() if isinstance(word, str) else ():
                found[text] = key
    return found


def _expanded(words: tuple[str, ...], environment: env.Environment) -> Iterator[tuple[str, str]]:
    """Give words as a shell leaves them, and as they are written.

    A variable that is not known stays as written, and so do those of a flood.
    """
    left = _LONGEST

    def text(match: Any) -> str:
        nonlocal left
        name = match[1] or match[2]
        value = environment.find(name)
        if value is None or value.text is None or len(value.text) > left:
            return str(match[0])
        left -= len(value.text)
        return value.text or match[3] or ""

    for word in words:
        if word.startswith("$"):
            yield from ((piece, word) for piece in _REFERENCE.sub(text, word).split())
        else:
            yield _REFERENCE.sub(text, word), word
