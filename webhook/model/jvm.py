"""Options of a Java virtual machine (HotSpot), read as it reads them, so far as a check needs them.

Sources: src/hotspot/share/runtime/arguments.cpp (`parse_options_buffer`, `parse_each_vm_init_arg`, `set_heap_size`),
src/java.base/share/native/libjli/args.c (JDK_JAVA_OPTIONS, argument files), and the man page of `java`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import re2

from webhook.model.record import record

SIZES = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
# one flag of the JVM has several spellings
_SHORT = (("-Xmx", "MaxHeapSize"), ("-Xms", "InitialHeapSize"), ("-mx", "MaxHeapSize"), ("-ms", "InitialHeapSize"))
_SIZED = frozenset({"MaxHeapSize", "InitialHeapSize", "MaxRAM"})
# an argument file, a variable of a shell, what a command prints
_UNSEEN = ("@", "$", "`")
_FILES = ("-XX:Flags=", "-XX:VMOptionsFile=")
# options of the launcher whose value is the next word
_VALUED = frozenset(
    {
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--upgrade-module-path",
        "--add-modules",
        "--limit-modules",
        "--add-opens",
        "--add-exports",
        "--add-reads",
        "--patch-module",
        "--enable-native-access",
        "--source",
        "--describe-module",
        "-d",
    }
)
_SIZE = re2.compile(r"(0x[0-9a-fA-F]{1,16}|[0-9]{1,19})([kKmMgGtT]?)")
_NUMBER = re2.compile(r"-?[0-9]{1,19}(?:\.[0-9]{0,9})?")
_VERSION = re2.compile(r"(?:jdk|jre|java)?-?(?:1\.)?([0-9]{1,2})((?:[.u_-][0-9a-z]+)*)(?:\+.*)?")
_OLD_UPDATE = re2.compile(r"(?:\.0)?[u_]([0-9]{1,4})(?:[-.].*)?")
_UPDATE = re2.compile(r"\.0\.([0-9]{1,4})(?:[._-].*)?")


@record(frozen=True, slots=True)
class Option:
    """One option: the flag that it sets, as written, and its value: a number (bytes for sizes), or None where unknown.

    A switch (`-XX:-UseContainerSupport`) has the value 0 or 1. `unknown` stands for options that cannot be seen.
    """

    flag: str
    text: str
    value: Fraction | None = None
    unknown: bool = False


@record(frozen=True, slots=True)
class Version:
    """The version of a JDK: 8, 11 and so on, and the number of its update; None where it is not said."""

    major: int
    update: int | None

    def reaches(self, least: Sequence[Version]) -> bool | None:
        """Say whether this is one of `least`, or a later update of it, or a later one than all; None: not known.

        Each of `least` is of a line of its own, and one of a line without an update takes all of that line.
        """
        for one in least:
            if one.major == self.major:
                if one.update is None:
                    return True
                return None if self.update is None else self.update >= one.update
        return self.major > max(one.major for one in least)

    @property
    def reads_cgroup_v2(self) -> bool | None:
        """Whether it finds its limits in cgroup v2 (JDK-8230305 and its backports); None: not known."""
        return self.reaches(CGROUP_V2)

    def __str__(self) -> str:
        """Return it as people write it: `8u372`, `11.0.16`, `17`."""
        if self.update is None:
            return str(self.major)
        return f"8u{self.update}" if self.major == 8 else f"{self.major}.0.{self.update}"


# the first that find their limits: in cgroup v2 (JDK-8230305 and its backports), in cgroup v1 (JDK-8146115, likewise)
CGROUP_V2 = (Version(8, 372), Version(11, 16), Version(15, None))
CGROUP_V1 = (Version(8, 191), Version(10, None))


def split(text: str) -> tuple[str, ...] | None:
    """Return the words of JAVA_TOOL_OPTIONS, _JAVA_OPTIONS and JDK_JAVA_OPTIONS; None where a quote is not closed.

    Quotes of both kinds may begin anywhere in a word and hold everything up to the next of their kind; there are no
    escapes. With an open quote, no JVM starts.
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    for char in text:
        if char == quote:
            quote = ""
        elif not quote and char.isspace():
            words += ["".join(word)] if word is not None else []
            word = None
        else:
            word = [] if word is None else word
            if not quote and char in "'\"":
                quote = char
            else:
                word.append(char)
    if quote:
        return None
    return (*words, "".join(word)) if word is not None else tuple(words)


def launched(words: Iterable[str]) -> tuple[str, ...] | None:
    """Return those words behind `java` that are options of the JVM: what comes before the jar or the main class.

    None where neither is there, so that nothing runs (`java -version`). What a variable or a file holds may be both.
    """
    found: list[str] = []
    value = False
    for word in words:
        if value:
            value = False
        elif word in ("-jar", "-m", "--module") or not word.startswith(("-", *_UNSEEN)):
            return tuple(found)
        else:
            value = word in _VALUED
            found.append(word)
    return tuple(found) if any(word.startswith(_UNSEEN) for word in found) else None


def options(words: Iterable[str]) -> Iterator[Option]:
    """Give what words set of the flags; a file of options is one that is unknown. Others are left out."""
    for word in words:
        option = _option(word)
        if option is not None:
            yield option


def _option(word: str) -> Option | None:
    if word.startswith((*_UNSEEN, *_FILES)):
        return Option("", word, unknown=True)
    for prefix, flag in _SHORT:
        if word.startswith(prefix):
            return Option(flag, word, size(word[len(prefix) :]))
    if not word.startswith("-XX:"):
        return None
    name, equals, text = word[4:].partition("=")
    if equals:
        return Option(name, word, size(text) if name in _SIZED else number(text))
    return Option(name[1:], word, Fraction(name[0] == "+")) if name[:1] in ("+", "-") and name[1:] else None


def size(text: str) -> Fraction | None:
    """Return a size in bytes (`512m`, `2G`, `0x10`), or None where it is none: the JVM would not start."""
    found = _SIZE.fullmatch(text)
    return Fraction(int(found[1], 0 if found[1][:2] == "0x" else 10) << SIZES[found[2].lower()]) if found else None


def number(text: str) -> Fraction | None:
    """Return a number, whole or with a point, also below 0, or None where it is none."""
    return Fraction(text.rstrip(".")) if _NUMBER.fullmatch(text) else None


def version(text: str) -> Version | None:
    """Return the version that a text says: `17`, `11.0.15`, `8u352-b08`, `1.8.0_352`, `jdk-17.0.9+9`; None: none."""
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        return None
    rest = found[2] or ""
    update = _UPDATE.fullmatch(rest) or (_OLD_UPDATE.fullmatch(rest) if found[1] == "8" else None)
    return Version(int(found[1]), int(update[1]) if update else None)
