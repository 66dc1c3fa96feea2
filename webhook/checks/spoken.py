"""What a check says in CEL, so that an API server can ask it without us (`plimsoll export`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webhook.model.glob import Globs, regex
from webhook.model.record import record
from webhook.model.workloads import TABLE

NAMESPACE = "request.?namespace.orValue('')"
"""The namespace of an object, as a request has it; empty for those without."""
_DAEMONS = sorted(f"{row.group}/{row.kind}" for row in TABLE if set(row.paths) == set(row.daemons))
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@record(frozen=True, slots=True)
class Put:
    """One write of a fix: where `when` is true, the field at `path` below the pod gets `value`; both are CEL.

    A path that ends in `-` adds to a list. CEL can copy no element of one, so that lists are not written whole.
    """

    path: tuple[str, ...]
    value: str
    when: str


@record(frozen=True, slots=True)
class Each:
    """Writes of a fix into the elements of lists: `text` is CEL and gives a list of `JSONPatch`.

    `at` is there the pointer of the pod. `paths` are what it writes, with `*` for the elements.
    """

    text: str
    paths: tuple[tuple[str, ...], ...]


@record(frozen=True, slots=True)
class Mend:
    """A fix in CEL, asked where the standard is not kept; it has the variables of the check, and then its own."""

    writes: tuple[Put | Each, ...]
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The fields that it writes, by their keys from the pod on."""
        return tuple(path for one in self.writes for path in (one.paths if isinstance(one, Each) else (one.path,)))


@record(frozen=True, slots=True)
class Spoken:
    """A check in CEL, over the words of rules (`pod`, `containers`, `object`, `request`), in Kubernetes' functions.

    `variables` are (name, text) in order, `expression` is true where the standard is kept, `found` gives a text that
    says what was found where it is not. `pods`: it is said of pods, and of kinds that have none by `others`, which
    does without `pod` and `containers`; where that is None it says nothing of them. `fix` is its fix, or a sentence
    that says why CEL cannot carry that.
    """

    expression: str
    found: str
    variables: tuple[tuple[str, str], ...] = ()
    pods: bool = True
    others: Spoken | None = None
    fix: Mend | str = "no policy is written for it"


def lacking(variables: tuple[tuple[str, str], ...], **more: Any) -> Spoken:
    """Return a check whose last variable, `bad`, lists what does not keep it, as texts."""
    return Spoken("variables.bad.size() == 0", "variables.bad.join('; ')", variables, **more)


class Unspoken(ValueError):
    """Something whose meaning CEL cannot carry: the sentence says why."""


Speaks = Callable[[Mapping[str, Any]], Spoken]
"""A check in CEL with parameters, defaults filled in. Raises Unspoken for parameters that CEL cannot carry."""


def literal(value: Any, inner: bool = False) -> str:
    """Return a JSON value as CEL; what stands inside a list or a map is `dyn`, since the API server mixes no types."""
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{literal(key)}: {literal(one, True)}" for key, one in value.items()) + "}"
    elif isinstance(value, list | tuple):
        one_type = len({type(one) for one in value}) <= 1 and not any(isinstance(one, list | Mapping) for one in value)
        text = "[" + ", ".join(literal(one, not one_type) for one in value) + "]"
    elif isinstance(value, str):
        text = f"'{''.join(map(_character, value))}'"
    elif value is None:
        text = "null"
    else:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"dyn({text})" if inner else text


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def of_kind(group: str, kind: str) -> str:
    """Return what says in CEL whether the object is of a kind."""
    return f"(request.kind.group == {literal(group)} && request.kind.kind == {literal(kind)})"


def daemon() -> str:
    """Return what says in CEL whether the pods of the object run on every node."""
    return f"(request.kind.group + '/' + request.kind.kind) in {literal(_DAEMONS)}"


def globbed(subject: str, globs: Globs) -> str:
    """Return what says in CEL whether one of the globs matches the text that `subject` gives."""
    if globs.everything:
        return "true"
    wild = [text for text in globs.texts if text not in globs.literals]
    parts = [f"{subject} in {literal(sorted(globs.literals))}"] if globs.literals else []
    if wild:
        pattern = "^(?:" + "|".join(map(regex, wild)) + ")$"
        parts.append(f"{subject}.matches({literal(pattern)})")
    return " || ".join(parts) or "false"
