"""CEL as the API server takes it: our words in its words, and what it does not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from webhook.checks.cellib import rewrite
from webhook.checks.cellib.text import Edit, Token, apply, arguments, scan
from webhook.checks.spoken import Unspoken

# What our CEL has and Kubernetes' has not (k8s.io/apiserver/pkg/cel/environment/base.go of 1.37).
FOREIGN = {"math": "the functions math.*", "base64": "the functions base64.*", "cel": "cel.bind"}
# The first version whose API server takes a function in a new policy: the one after that which brought it
# (`IntroducedVersion` there, against the minimum compatibility version of a server, which is one below its own).
SINCE: Mapping[str, int] = {
    **dict.fromkeys(("ip", "isIP", "cidr", "isCIDR"), 31),
    "named": 32,
    **dict.fromkeys(("transformList", "transformMap", "transformMapEntry", "existsOne"), 33),
    **dict.fromkeys(("semver", "isSemver"), 34),
    **dict.fromkeys(("sort", "sortBy", "distinct", "flatten", "slice", "reverse", "range", "first", "last"), 35),
}


def translated(source: str, words: Mapping[str, str]) -> str:
    """Return a text with our words in the API server's. Raises Unspoken for what it does not have.

    `words` gives what stands for each of our words; strings, fields and the variables of macros stay as they are.
    """
    tokens = scan(source)
    foreign(tokens)
    edits = _mixed(tokens)
    for word, meaning in words.items():
        hidden = rewrite.shadowed(tokens, word)
        for index, token in enumerate(tokens):
            if index not in hidden and rewrite.is_word(tokens, index, word):
                edits.append(Edit(token.start, token.end, meaning))
    return apply(source, edits)


def _mixed(tokens: Sequence[Token]) -> list[Edit]:
    """Return the edits that make `dyn` of what stands in lists and maps: the API server mixes no types in them.

    (`cel.HomogeneousAggregateLiterals`; a list of texts alone stays as it is.)
    """
    found: list[Edit] = []
    for index, token in enumerate(tokens):
        if token.kind != "sign" or token.text not in "[{" or (token.text == "[" and _indexes(tokens, index)):
            continue
        parts = arguments(tokens, index)
        if token.text == "{":
            parts = [range(_after_colon(tokens, part), part.stop) for part in parts]
        optional = any(rewrite.is_sign(tokens, part.start, "?") for part in parts)
        texts = all(len(part) == 1 and tokens[part.start].kind == "string" for part in parts)
        if len(parts) < 2 or texts or optional:
            continue
        for part in filter(len, parts):
            start, end = tokens[part.start].start, tokens[part.stop - 1].end
            found += [Edit(start, start, "dyn("), Edit(end, end, ")")]
    return found


def _indexes(tokens: Sequence[Token], index: int) -> bool:
    """Say whether the bracket at `index` takes an element, and does not begin a list."""
    if index == 0:
        return False
    before = tokens[index - 1]
    return before.text in (")", "]", "}") if before.kind == "sign" else before.text != "in"


def _after_colon(tokens: Sequence[Token], part: range) -> int:
    """Return the index behind the colon between a key and its value."""
    level = 0
    for index in part:
        if tokens[index].kind == "sign":
            level += (tokens[index].text in "([{") - (tokens[index].text in ")]}")
            if tokens[index].text == ":" and level == 0:
                return index + 1
    return part.stop


def grouped(source: str) -> str:
    """Return a text in brackets; the line break ends a comment that the author put at its end."""
    return f"({source}\n)" if "//" in source else f"({source})"


def decided(source: str, typed: bool) -> str:
    """Return a text whose type the API server knows to be a truth value; one of another type fails, as it does here."""
    return source if typed else f"{grouped(source)} ? true : false"


def foreign(tokens: Sequence[Token]) -> None:
    """Raise Unspoken where a text uses what the API server does not have."""
    for index, token in enumerate(tokens):
        if token.kind != "name":
            continue
        if token.text.startswith("`"):
            raise Unspoken(f"Kubernetes' CEL has no names in backquotes; write ['{token.text.strip('`')}']")
        called = rewrite.is_sign(tokens, index + 1, ".") and rewrite.is_sign(tokens, index + 3, "(")
        if token.text in FOREIGN and called and not rewrite.is_sign(tokens, index - 1, "."):
            raise Unspoken(f"Kubernetes' CEL does not have {FOREIGN[token.text]}")


def since(sources: Iterable[str]) -> int:
    """Return the first minor version of Kubernetes 1 that takes these texts in a policy."""
    found = 30
    for source in sources:
        tokens = scan(source)
        for index, token in enumerate(tokens):
            if token.kind == "name" and rewrite.is_sign(tokens, index + 1, "("):
                found = max(found, SINCE.get(token.text, 30))
    return found
