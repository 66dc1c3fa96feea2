"""What is wrong with a CEL text, in words for its author; pure text in, sentences out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from webhook.checks.cellib import regex, rewrite
from webhook.checks.cellib.rewrite import BOUND, is_call, is_sign
from webhook.checks.cellib.text import Edit, Token, apply, arguments, literal, offset, origin, place

COMPILER = re.compile(r"ERROR: <input>:(-?[0-9]+):(-?[0-9]+): (.*)$", re.MULTILINE)
STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '(.*)'$")
OPERATOR = re.compile(r"^_?([^\sA-Za-z_]+|in)_?$")
DEEP = "nested too deeply: CEL has a limit of 32 levels (a chain of + or of calls counts each link)"
MADE_OF = "lists are made of lists inside one another too often; put some of them into variables"
LOOSE_OPTIONAL = "an optional value cannot be used in a text that makes a map; end it with orValue(...)"
CONFUSED = (
    "`all` and `exists` beside `cel.bind`, `optMap`, `optFlatMap` or `sortBy` in one text give wrong values here; "
    "put one of them into a variable of its own"
)
# Words that Kubernetes has in CEL and this webhook has not, and why.
ABSENT = {
    "authorizer": "`authorizer` is not available here: a webhook cannot ask the API server's authorizer "
    "while it is deciding; use request.userInfo, or a ValidatingAdmissionPolicy",
    "params": "`params` is not available here: a pack keeps its parameters under `values`",
}
MAPS = ("transformMap", "transformMapEntry")
PATTERNS = ("matches", "find", "findAll")
CALLS = (
    "all", "exists", "exists_one", "existsOne", "filter", "map", "has", "size", "contains", "startsWith",
    "endsWith", "matches", "find", "findAll", "indexOf", "lastIndexOf", "join", "split", "replace",
    "substring", "trim", "lowerAscii", "upperAscii", "charAt", "format", "quantity", "isQuantity", "isLessThan",
    "isGreaterThan", "compareTo", "add", "sub", "sign", "asInteger", "isInteger", "asApproximateFloat", "ip",
    "isIP", "cidr", "isCIDR", "containsIP", "containsCIDR", "prefixLength", "masked", "family", "url",
    "isURL",
    "getScheme", "getHost", "getHostname", "getPort", "getEscapedPath", "getQuery", "semver",
    "isSemver",
    "major", "minor", "patch", "isSorted", "sum", "min", "max", "includes", "distinct", "flatten", "reverse",
    "slice", "sort", "sortBy", "transformList", "validate", "orValue", "hasValue", "value", "int", "string",
    "double", "uint", "bool", "bytes", "duration", "timestamp", "dyn", "type",
)  # fmt: skip
TYPES = {
    "BOOL": "true or false", "STRING": "a string", "INT": "a number", "UINT": "a number",
    "DOUBLE": "a number", "NULL": "null", "BYTES": "bytes", "TIMESTAMP": "a timestamp",
    "DURATION": "a duration", "TYPE": "a type", "LIST": "a list", "MAP": "a map",
}  # fmt: skip


class Problem(NamedTuple):
    """One thing that is wrong: line and column in the author's text, from 1, and a sentence."""

    line: int
    column: int
    sentence: str


def a_type(name: str) -> str:
    """Return the binding's name of a type in words: `LIST<DYN>` is a list."""
    return TYPES.get(name.partition("<")[0], name)


def hopeless(tokens: Sequence[Token]) -> bool:
    """Return whether the binding would only add noise to what `at_sight` says."""
    return any(
        rewrite.is_word(tokens, index, word) for word in rewrite.present(tokens, ABSENT) for index in range(len(tokens))
    )


def at_sight(source: str, tokens: Sequence[Token], words: frozenset[str], known: Sequence[str]) -> list[Problem]:
    """Return what is wrong with a text before the binding sees it."""
    found = [*_bad_names(tokens, words, known), *_bad_literals(tokens), *_bad_calls(tokens)]
    loose = rewrite.loose_optional(tokens)
    if loose is not None:
        found.append((tokens[loose], LOOSE_OPTIONAL))
    confused = rewrite.confused(tokens)
    if confused is not None:
        found.append((tokens[confused], CONFUSED))
    problems = [Problem(*place(source, token.start), sentence) for token, sentence in found]
    if "\0" in source:
        problems.append(Problem(*place(source, source.index("\0")), "a NUL character has no place in CEL"))
    return problems


def _bad_names(tokens: Sequence[Token], words: frozenset[str], known: Sequence[str]) -> Iterator[tuple[Token, str]]:
    hidden = {word: rewrite.shadowed(tokens, word) for word in rewrite.present(tokens, {*known, *ABSENT} - words)}
    for index, token in enumerate(tokens):
        if token.kind != "name":
            continue
        if token.text.startswith(BOUND):
            yield token, f"names that begin with {BOUND} are taken"
        if is_sign(tokens, index - 1, ".") and not _is_operand(tokens, index - 2):
            yield token, f"write `{token.text}` without the dot in front"
        for word, shadow in hidden.items():
            if rewrite.is_word(tokens, index, word) and index not in shadow:
                only = f"`{word}` is not available here, only {listed(sorted(words))}"
                yield token, ABSENT.get(word) or only


def _is_operand(tokens: Sequence[Token], index: int) -> bool:
    if index < 0:
        return False
    token = tokens[index]
    return token.text in (")", "]", "}") if token.kind == "sign" else token.text != "in"


def _bad_literals(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    for token in tokens:
        if token.kind == "string" and "\0" in (literal(token) or ""):
            yield token, "a string with a NUL character never equals a value of an object"


def _bad_calls(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    for index, token in enumerate(tokens):
        if token.text in PATTERNS:
            for member in (True, False):
                if is_call(tokens, index, token.text, member=member):
                    yield from _bad_pattern(tokens, index, 0 if member else 1)
        if token.text in MAPS and is_call(tokens, index, token.text, member=True):
            yield token, f"`{token.text}` does not work here; use transformList, or map on the keys"


def _bad_pattern(tokens: Sequence[Token], index: int, position: int) -> Iterator[tuple[Token, str]]:
    parts = arguments(tokens, index + 1)
    if len(parts) <= position or len(parts[position]) != 1:
        return
    token = tokens[parts[position][0]]
    pattern = literal(token)
    if pattern is None:
        return
    try:
        regex.compiled(pattern)
    except ValueError as error:
        yield token, str(error)


def at_compile(
    message: str,
    source: str,
    edits: Sequence[Edit],
    variables: Sequence[str],
    later: Sequence[str],
    words: Sequence[str],
) -> list[Problem]:
    """Return the problems in the binding's message, at their places in the author's text.

    `edits` were made to the source before; `variables` are known here, `later` ones not yet.
    """
    changed = apply(source, edits)
    found: list[Problem] = []
    for line, column, said in COMPILER.findall(message):
        where = origin(source, edits, offset(changed, max(int(line), 1), max(int(column), 1)))
        if "'*error*'" in said:
            continue  # only a consequence of another problem
        name = UNDECLARED.search(said)
        if name:
            call = source[where : where + 1] == "("
            sentence = _undeclared(name[1], call, variables, later, words)
        else:
            sentence = _compiler(said)
        found.append(Problem(*place(source, where), sentence))
    return found or [Problem(1, 1, _compiler(message))]


def _undeclared(name: str, call: bool, variables: Sequence[str], later: Sequence[str], words: Sequence[str]) -> str:
    if call:
        plain = name.removeprefix("k8s_")
        return f"there is no function `{plain}`{near(plain.rpartition('.')[2], CALLS)}"
    root, dot, rest = name.partition(".")
    if root != "variables":
        known = [*words, *(["variables"] if variables else [])]
        return f"`{root}` is not known here{near(root, known) or ', only ' + listed(known)}"
    wanted = rest.partition(".")[0]
    if not dot:
        return "`variables` is no value by itself; write variables.<name>"
    if wanted in later:
        return f"the variable `{wanted}` is declared later; a variable may only use the ones before it"
    return f"there is no variable `{wanted}`{near(wanted, variables)}"


def _compiler(said: str) -> str:
    said = _bare(said)
    if "recursion" in said:
        return DEEP
    overload = OVERLOAD.search(said)
    if overload:
        operator = OPERATOR.match(overload[1])
        name = operator[1] if operator else overload[1].removeprefix("k8s_").strip("_@")
        return f"`{name}` does not work on {overload[2]}"
    if "mismatched input '<EOF>'" in said or "no viable alternative at input '<EOF>'" in said:
        return "syntax error: the text ends too early"
    if said.startswith("Syntax error: "):
        return "syntax error: " + said.removeprefix("Syntax error: ").partition(" expecting ")[0]
    return said


def bound(message: str, count: int) -> str:
    """Return why a text fails with its variables bound around it, though it is right by itself."""
    said = _compiler(message)
    return f"with the {count} variables that it uses this is {said}" if said == DEEP else said


def at_run(message: str) -> str:
    """Return an error of an evaluation in the words that Kubernetes uses, without status codes."""
    said = _bare(message)
    if "Key not found in map" in said:
        return "no such key: " + said.partition(":")[2].strip().strip('"')
    if "Applying SELECT to non-message type" in said:
        return "a field was asked of a value that is no map (null, a string, a number or a list)"
    if "No matching overloads found" in said:
        return "no such overload: " + said.partition(":")[2].strip().replace("k8s_", "")
    if "Unable to convert function return value" in said or "exception set" in said:
        return "the expression gives a value that has no place outside CEL (an optional value?)"
    if "bad_alloc" in said:
        return "the expression needs more memory than there is"
    if "Iteration budget exceeded" in said:
        return "the expression loops too often: CEL's budget of iterations is used up"
    if said.startswith("No value with name"):
        key = said.partition('"')[2].partition('"')[0]
        return f"`{key}` has no value in this review"
    return said


def _bare(message: str) -> str:
    return STATUS.sub("", STATUS.sub("", message.partition("\n")[0])).strip()


def near(word: str, known: Sequence[str]) -> str:
    """Return a suggestion where a known word is nearly this one, else nothing."""
    lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return f"; did you mean `{lower[found[0]]}`?" if found else ""


def listed(words: Sequence[str]) -> str:
    """Return words for a sentence: `a, b, c`."""
    return ", ".join(words) if words else "nothing"
