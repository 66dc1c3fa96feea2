"""What the binding cannot say in CEL itself, said in CEL that it can run.

- `x.indexOf(y)` is `x.k8s_indexOf([y])`: no second overload of a name of the strings library.
- `f.validate(s)` is `f.k8s_validate(s)[?0]`: Python functions cannot give optional values.
- `lists.range(n)` is `k8s_range(n)`, which has a limit.
- `string(x)` is `string(k8s_string([x]))` in texts that make addresses: `string(ip('::1'))`.
- `variables.x` becomes a name that `cel.bind` binds; binds are lazy, so an unused variable never fails.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from webhook.checks.cellib.text import CLOSE, Edit, Token, arguments, closing

# The names that stand for variables; an author's own names may not begin so.
BOUND = "_v_"
LISTED = ("indexOf", "lastIndexOf", "includes")
ADDRESSES = ("ip", "cidr")
# Calls that bind a name for what follows it, and which argument is the name's first scope.
BINDERS = {
    name: 1
    for name in (
        "all", "exists", "exists_one", "existsOne", "filter", "map", "optMap", "optFlatMap", "sortBy",
        "transformList", "transformMap", "transformMapEntry",
    )
}  # fmt: skip
_THROUGH = ("all", "exists", "exists_one", "existsOne", "filter", "map")
OPTIONAL_ENDS = ("orValue", "hasValue", "value")


def is_sign(tokens: Sequence[Token], index: int, text: str) -> bool:
    """Return whether the token at `index` is the sign `text` (False outside the text)."""
    return 0 <= index < len(tokens) and tokens[index].kind == "sign" and tokens[index].text == text


def is_word(tokens: Sequence[Token], index: int, word: str) -> bool:
    """Return whether `word` stands at `index` as a name of its own, not as a field or a call."""
    token = tokens[index]
    if token.kind != "name" or token.text != word or is_sign(tokens, index + 1, "("):
        return False
    return not _is_field(tokens, index)


def _is_field(tokens: Sequence[Token], index: int) -> bool:
    return is_sign(tokens, index - 1, ".") or (is_sign(tokens, index - 1, "?") and is_sign(tokens, index - 2, "."))


def is_call(tokens: Sequence[Token], index: int, name: str, *, member: bool) -> bool:
    """Return whether a call of `name` begins at `index`, as a method or as a function."""
    token = tokens[index]
    called = token.kind == "name" and token.text == name and is_sign(tokens, index + 1, "(")
    return called and is_sign(tokens, index - 1, ".") == member


def uses(tokens: Sequence[Token], word: str) -> list[int]:
    """Return the indices where `word` stands as a word of the rule: no field, no call, no variable of a macro."""
    found = [index for index, token in enumerate(tokens) if token.text == word and is_word(tokens, index, word)]
    if not found:
        return found  # as mostly: a text uses few of the words
    hidden = shadowed(tokens, word)
    return [index for index in found if index not in hidden] if hidden else found


def shadowed(tokens: Sequence[Token], word: str) -> set[int]:
    """Return the indices where `word` is the variable of a macro, not the word of the rule."""
    found: set[int] = set()
    if not any(token.text == word and _is_argument(tokens, index) for index, token in enumerate(tokens)):
        return found  # as mostly: a macro names its variable in an argument of its own
    for index, token in enumerate(tokens):
        if token.kind != "name" or not is_sign(tokens, index - 1, ".") or not is_sign(tokens, index + 1, "("):
            continue
        parts = arguments(tokens, index + 1)
        bind = token.text == "bind" and index > 1 and tokens[index - 2].text == "cel"
        if not bind and token.text not in BINDERS:
            continue
        names = [part for part in parts[:2] if len(part) == 1][: 1 if bind or len(parts) < 3 else 2]
        if not any(tokens[part[0]].text == word for part in names):
            continue
        found.update(part[0] for part in names)
        for part in parts[2:] if bind else parts[1:]:
            found.update(part)
    return found


def _is_argument(tokens: Sequence[Token], index: int) -> bool:
    """Return whether the token at `index` is an argument all by itself, of a call that need not be closed."""
    before = is_sign(tokens, index - 1, "(") or is_sign(tokens, index - 1, ",")
    return before and (index + 1 == len(tokens) or tokens[index + 1].text in (",", *CLOSE))


def library_edits(tokens: Sequence[Token]) -> list[Edit]:
    """Return the edits that lead the calls of Kubernetes' libraries to functions we can have."""
    addresses = any(token.text in ADDRESSES and is_sign(tokens, i + 1, "(") for i, token in enumerate(tokens))
    found: list[Edit] = []
    for index, token in enumerate(tokens):
        if token.kind != "name" or not is_sign(tokens, index + 1, "("):
            continue
        end = closing(tokens, index + 1)
        if end == len(tokens):
            continue
        opened, closed = tokens[index + 1].end, tokens[end].start
        if token.text in LISTED and is_sign(tokens, index - 1, "."):
            found.append(Edit(token.start, token.end, f"k8s_{token.text}"))
            found += [Edit(opened, opened, "["), Edit(closed, closed, "]")]
        elif token.text == "validate" and is_sign(tokens, index - 1, "."):
            found.append(Edit(token.start, token.end, "k8s_validate"))
            found.append(Edit(closed + 1, closed + 1, "[?0]"))
        elif token.text == "named" and is_sign(tokens, index - 1, ".") and tokens[index - 2].text == "format":
            found.append(Edit(closed + 1, closed + 1, "[?0]"))
        elif token.text == "range" and is_sign(tokens, index - 1, ".") and tokens[index - 2].text == "lists":
            found.append(Edit(tokens[index - 2].start, token.end, "k8s_range"))
        elif token.text == "string" and addresses and not is_sign(tokens, index - 1, "."):
            found += [Edit(opened, opened, "k8s_string(["), Edit(closed, closed, "])")]
        elif token.text == "existsOne" and len(arguments(tokens, index + 1)) == 2:
            found.append(Edit(token.start, token.end, "exists_one"))
    return found


def variable_uses(tokens: Sequence[Token]) -> list[tuple[int, str]]:
    """Return the index of `variables` and the name for every `variables.<name>` of the rule's own."""
    return [
        (index, tokens[index + 2].text)
        for index in uses(tokens, "variables")
        if index + 2 < len(tokens)
        and is_sign(tokens, index + 1, ".")
        and tokens[index + 2].kind == "name"
        and not is_sign(tokens, index + 3, "(")
    ]


def variable_edits(tokens: Sequence[Token]) -> list[Edit]:
    """Return the edits that turn `variables.x` into the name that `bound` binds."""
    return [Edit(tokens[index].start, tokens[index + 2].end, BOUND + name) for index, name in variable_uses(tokens)]


def bound(body: str, bindings: Sequence[tuple[str, str]]) -> str:
    """Return `body` with each (name, text) bound around it, the first one outermost.

    The line breaks end a comment that the author put at the end of a text.
    """
    for name, text in reversed(bindings):
        body = f"cel.bind({BOUND}{name}, {text}\n, {body}\n)"
    return body


def roots(tokens: Sequence[Token], word: str) -> tuple[bool, frozenset[str] | None]:
    """Return whether the text uses `word`, and the first fields it reads of it (None: all of it)."""
    fields: set[str] = set()
    used = whole = False
    for index in uses(tokens, word):
        used = True
        field = selected(tokens, index + 1)
        whole = whole or field is None
        fields.add(field or "")
    return used, None if whole else frozenset(fields)


def paths(tokens: Sequence[Token], word: str) -> frozenset[tuple[str, ...]]:
    """Return what a text reads of `word`: the first two fields of each use, fewer where all below them is used."""
    found: set[tuple[str, ...]] = set()
    for index in uses(tokens, word):
        path: tuple[str, ...] = ()
        at = index + 1
        while len(path) < 2 and (field := selected(tokens, at)) is not None:
            path = (*path, field)
            at += 2 + is_sign(tokens, at, "[") + is_sign(tokens, at + 1, "?")
        found.add(path)
    return frozenset(found)


def leaves(tokens: Sequence[Token]) -> list[range]:
    """Return the calls of a text, as the indices of their arguments, that may leave a loop's variable behind.

    A loop that ends early, once `all` or `exists` is decided, does not take its variable away (cel-cpp, as of the
    binding 0.1.3), and what `binds` then takes the value for its own, if nothing was there in between.
    """
    return _calls(tokens, ("all", "exists"))


def binds(tokens: Sequence[Token]) -> list[range]:
    """Return the calls of a text, as the indices of their arguments, that bind a name when it is first used."""
    bind = [found for found in _calls(tokens, ("bind",)) if tokens[found.start - 4].text == "cel"]
    return bind + _calls(tokens, ("optMap", "optFlatMap", "sortBy"))


def confused(tokens: Sequence[Token]) -> int | None:
    """Return the index of a name's binding in a text that a loop beside it may confuse; None where there is none."""
    for bind in binds(tokens):
        for left in leaves(tokens):
            if bind.stop < left.start or left.stop < bind.start:
                return bind.start - 2
    return None


def _calls(tokens: Sequence[Token], names: Collection[str]) -> list[range]:
    """Return the calls of methods with one of the names, each as the indices of what is in its brackets."""
    return [
        range(index + 2, closing(tokens, index + 1))
        for index, token in enumerate(tokens)
        if token.kind == "name" and token.text in names and is_call(tokens, index, token.text, member=True)
    ]


def elements(tokens: Sequence[Token], word: str) -> frozenset[str] | None:
    """Return the first fields that a text reads of the elements of the list `word`; None where it uses one whole.

    Seen are the macros that go through a list, one after the other. Any other use may be one of whole elements.
    """
    fields: set[str] = set()
    for index in uses(tokens, word):
        found = _through(tokens, index + 1)
        if found is None:
            return None
        fields |= found
    return frozenset(fields)


def _through(tokens: Sequence[Token], at: int) -> set[str] | None:
    """Return what the calls from `at` on read of the elements of the list before it."""
    fields: set[str] = set()
    while is_sign(tokens, at, ".") and is_sign(tokens, at + 2, "("):
        call, parts, end = tokens[at + 1].text, arguments(tokens, at + 2), closing(tokens, at + 2)
        if call == "size":
            return fields
        if call not in _THROUGH or len(parts) != 2 or len(parts[0]) != 1 or end == len(tokens):
            return None
        element = tokens[parts[0][0]].text
        for index in parts[1]:
            if is_word(tokens, index, element):
                field = selected(tokens, index + 1)
                if field is None:
                    return None
                fields.add(field)
        if call != "filter":
            return fields
        at = end + 1
    return None


def selected(tokens: Sequence[Token], index: int) -> str | None:
    """Return the field that `.a`, `.?a`, `['a']` or `[?'a']` at `index` selects, else None."""
    dot, bracket = is_sign(tokens, index, "."), is_sign(tokens, index, "[")
    index += 2 if is_sign(tokens, index + 1, "?") else 1
    if index + 1 > len(tokens) - 1 + dot or not (dot or bracket):
        return None
    token = tokens[index]
    if dot:
        call = is_sign(tokens, index + 1, "(")
        return None if call or token.kind != "name" else token.text.strip("`")
    simple = token.kind == "string" and "\\" not in token.text and token.text[0] in "'\""
    quotes = 3 if token.text[:3] in ("'''", '"""') else 1
    return token.text[quotes:-quotes] if simple and is_sign(tokens, index + 1, "]") else None


def loose_optional(tokens: Sequence[Token]) -> int | None:
    """Return the index of an optional value that a text with a map literal does not resolve.

    An optional value inside a map kills the process when the binding turns that map into Python.
    """
    return open_optional(tokens) if any(token.text == "{" for token in tokens) else None


def open_optional(tokens: Sequence[Token]) -> int | None:
    """Return the index of an optional value that goes on as one: its own chain of calls does not resolve it."""
    for index in range(len(tokens)):
        starts = is_sign(tokens, index, "?") and (is_sign(tokens, index - 1, ".") or is_sign(tokens, index - 1, "["))
        makes = (tokens[index].text == "optional" and is_sign(tokens, index + 1, ".")) or (
            tokens[index].text in ("validate", "named") and is_sign(tokens, index - 1, ".")
        )
        if (starts or makes) and not _resolved(tokens, index):
            return index
    return None


def _resolved(tokens: Sequence[Token], index: int) -> bool:
    """Return whether the chain of selections, calls and indexing from `index` ends the optional."""
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "name" and token.text in OPTIONAL_ENDS and is_sign(tokens, index - 1, "."):
            return is_sign(tokens, index + 1, "(")
        if token.kind == "sign" and token.text in "([":
            index = closing(tokens, index) + 1
        elif _links(tokens, index):
            index += 1
        else:
            return False
    return False


def _links(tokens: Sequence[Token], index: int) -> bool:
    token = tokens[index]
    if token.kind == "sign":
        return token.text in "].?"
    return is_sign(tokens, index - 1, ".") or is_sign(tokens, index - 1, "?") or token.text == "optional"


def names(tokens: Sequence[Token], wanted: Collection[str]) -> frozenset[str]:
    """Return which of the wanted words the text uses as words of the rule."""
    return frozenset(word for word in present(tokens, wanted) if uses(tokens, word))


def present(tokens: Sequence[Token], wanted: Collection[str]) -> frozenset[str]:
    """Return which of the wanted words stand anywhere in the text, whatever they mean there."""
    return frozenset(wanted).intersection(token.text for token in tokens)
