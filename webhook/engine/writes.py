"""The writes of a patch in YAML, made on a draft."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from webhook.engine.view import View
from webhook.model import pointer as pointers
from webhook.model.patch import Draft
from webhook.model.pods import LISTS, Pod
from webhook.packs.rule import Mutation, Write


def write(mutation: Mutation, view: View, number: int, index: int, pod: Pod, draft: Draft) -> None:
    """Make the writes of a mutation on one pod of a subject; `pod` has the containers in scope.

    `*` stands for every element of a list; of the containers, for those in scope. An expression that gives null
    writes nothing. Raises RuleError by its expressions, and where a parent is no object.
    """
    for entry in mutation.writes:
        places = list(_places(entry, pod))
        # from the end: taking an element out moves those behind it
        for tokens, item in reversed(places) if entry.op == "remove" else places:
            value = entry.value
            if entry.program is not None:
                activation = view.activation(number, index) if item is None else view.with_item(number, index, item)
                value = entry.program(activation)
                if value is None:
                    continue
            place = pointers.join(pod.pointer, *tokens)
            if entry.op == "remove":
                draft.remove(place)
            elif entry.op == "add" or pointers.get(draft.document, pointers.split(place), draft) is not draft:
                draft.put(place, value)


def _places(entry: Write, pod: Pod) -> Iterator[tuple[list[str], Any]]:
    """Yield the tokens (from the pod) of every place that an entry means, with the last list element passed."""
    document: Any = {"metadata": dict(pod.metadata), "spec": pod.spec}
    in_scope = {container.pointer for container in pod.containers}
    yield from _expand(document, list(entry.tokens), [], None, pod.pointer, in_scope)


def _expand(
    value: Any, rest: list[str], done: list[str], item: Any, base: str, in_scope: set[str]
) -> Iterator[tuple[list[str], Any]]:
    if "*" not in rest:
        yield done + rest, item
        return
    at = rest.index("*")
    done = done + rest[:at]
    elements = pointers.get(value, rest[:at], [])
    for number, element in enumerate(elements if isinstance(elements, list) else []):
        here = [*done, str(number)]
        of_containers = len(here) == 3 and here[1] in LISTS
        if of_containers and pointers.join(base, *here) not in in_scope:
            continue
        yield from _expand(element, rest[at + 1 :], here, element, base, in_scope)
