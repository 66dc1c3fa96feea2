"""Paths in a container or on a node, by whole segments: `/var/log/app-evil` is not in `/var/log/app`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from webhook.model.glob import Globs, compile_globs
from webhook.model.record import record

Segments = tuple[str, ...]


# the same few paths are mounted everywhere
@lru_cache(maxsize=4096)
def segments(path: str, base: Segments = ()) -> Segments:
    """Return the segments of a path, without `//`, `.` and a trailing `/`, with `..` resolved (never above `/`).

    A path that does not start with `/` is read from `base`; the kubelet reads a relative mountPath from `/`
    too (pkg/kubelet/kubelet_pods.go, makeAbsolutePath).
    """
    result = [] if path.startswith("/") else list(base)
    for segment in path.split("/"):
        if segment == "..":
            del result[-1:]
        elif segment not in ("", "."):
            result.append(segment)
    return tuple(result)


def inside(path: Segments, directory: Segments) -> bool:
    """Say whether `path` is `directory` or lies below it."""
    return path[: len(directory)] == directory


def text(path: Segments) -> str:
    """Return a path as it is written."""
    return "/" + "/".join(path)


def directory(written: str) -> Segments:
    """Return the segments of an absolute directory. Raises ValueError with a sentence where it is none."""
    parts = _absolute(written)
    if set("*?") & set(written):
        raise ValueError(f"{written!r} holds a pattern; directories of the node are written out")
    return parts


def _absolute(written: str) -> Segments:
    parts = segments(written)
    if not written.startswith("/") or ".." in written.split("/") or not parts:
        raise ValueError(f"{written!r} is no directory; wanted an absolute path without `..`, like /var/log/app")
    return parts


@record(frozen=True, slots=True)
class Pattern:
    """A pattern of directories, compiled; None in `parts` is `**`.

    In a segment `*` stands for any characters and `?` for one; the segment `**` for any number of segments,
    none included. `literal` counts the leading segments that are plain text, `plain` are all, where all are.
    """

    written: str
    parts: tuple[Globs | None, ...]
    literal: int
    plain: Segments | None

    @classmethod
    def of(cls, written: str) -> Pattern:
        """Return a pattern compiled. Raises ValueError with a sentence where it is none."""
        texts = _absolute(written)
        if set("*?") & set(texts[0]):
            wanted = "a first segment in plain text, like /var/*/logs"
            raise ValueError(f"{written!r} begins with a pattern; wanted {wanted}")
        if any("**" in part and part != "**" for part in texts):
            raise ValueError(f"{written!r} has `**` inside a segment; it is a segment of its own, as in /var/log/**")
        wild = [number for number, part in enumerate(texts) if "*" in part or "?" in part]
        parts = tuple(None if part == "**" else compile_globs([part]) for part in texts)
        return cls(written, parts, wild[0] if wild else len(texts), None if wild else texts)

    def holds(self, path: Segments) -> bool:
        """Say whether `path` is a log directory, or lies in one."""
        if self.plain is not None:
            return inside(path, self.plain)
        return any(len(self.parts) in states for states in self._walk(path))

    def at(self, path: Segments) -> bool:
        """Say whether `path` itself is a log directory."""
        return path == self.plain if self.plain is not None else len(self.parts) in self._last(path)

    def above(self, path: Segments) -> bool:
        """Say whether a log directory can lie in `path`, or be `path`."""
        if self.plain is not None:
            return bool(path) and inside(self.plain, path)
        return bool(self._last(path))

    def _last(self, path: Segments) -> frozenset[int]:
        return (frozenset[int](), *self._walk(path))[-1]

    def _walk(self, path: Segments) -> Iterator[frozenset[int]]:
        """Give, after each segment of `path`, how many parts may be matched by now; it never goes back."""
        states = self._skip({0})
        for segment in path:
            following = set()
            for state in states:
                if state < len(self.parts):
                    part = self.parts[state]
                    if part is None:
                        following.add(state)
                    elif part(segment):
                        following.add(state + 1)
            states = self._skip(following)
            yield states

    def _skip(self, states: set[int]) -> frozenset[int]:
        for state in sorted(states):
            while state < len(self.parts) and self.parts[state] is None:
                state += 1
                states.add(state)
        return frozenset(states)
