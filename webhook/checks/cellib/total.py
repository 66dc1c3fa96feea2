"""Conditions that cannot fail: a CEL text made wider, so that it is true wherever the text is true or fails.

For whoever evaluates a condition where a failure would be taken for an answer: the API server, whose `matchConditions`
refuse a request, or leave a webhook out, where one of them fails. Each comparison is guarded by whether what it reads
is there and of the right type; what fails its guard counts as whatever makes the whole true. `&&`, `||` and `!` of CEL
take a failure as a value that is not known, so that the whole is never false where the text is not.

Only a part of the language is known here: comparisons of fields with texts, numbers and truth values, `in`, `has`,
`startsWith`, `endsWith`, `contains`, and what joins them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from webhook.checks.cellib.text import Token, depth, literal, scan

_TEXTS = (
    "kind.group", "kind.kind", "kind.version", "name", "namespace", "operation", "resource.group", "resource.resource",
    "resource.version", "subResource", "userInfo.uid", "userInfo.username",
)  # fmt: skip
# admission/v1 AdmissionRequest: these have their types there, and are left out on the wire where they are empty.
REQUEST: Mapping[str, str] = MappingProxyType(
    {**{f"request.{path}": "string" for path in _TEXTS}, "request.userInfo.groups": "list"}
)
OBJECTS = ("object", "oldObject")
NESTED = 32
"""Brackets inside one another, as deep as CEL itself reads."""
_METHODS = ("startsWith", "endsWith", "contains")


class Unknown(ValueError):
    """A text of which nobody here can say when it fails."""


def wider(source: str) -> str:
    """Return a text that never fails, and is true wherever `source` is true or fails. Raises Unknown.

    `source` is a condition on `object`, `oldObject` and `request`.
    """
    tokens = scan(source)
    if depth(tokens) > NESTED:
        raise Unknown("it is nested too deep")
    reader = _Reader(tokens)
    text = reader.either(True)
    if reader.left:
        raise Unknown(f"{reader.left[0].text!r} is not known")
    return text


class _Path:
    """A field: the word that it begins with, and what is selected of it, step by step."""

    def __init__(self, word: str) -> None:
        self.text = word
        self.guards: list[str] = []
        self.last = ""  # the guard that says whether it is there

    def field(self, name: str) -> None:
        """Go on to `.name`."""
        self._inside()
        self.text = f"{self.text}.{name}"
        self.last = f"has({self.text})"

    def key(self, written: str) -> None:
        """Go on to `['key']`."""
        self._inside()
        self.last = f"{written} in {self.text}"
        self.text = f"{self.text}[{written}]"

    def _inside(self) -> None:
        if self.last:
            self.guards.append(self.last)
        if not self.text.startswith("request"):  # what that has, it has by its type
            self.guards.append(f"type({self.text}) == map")

    @property
    def there(self) -> list[str]:
        """What says that it is there."""
        return [*self.guards, self.last]


class _Reader:
    """Reads a condition from its tokens, and writes it wider (`yes`) or narrower, as it stands under a `!` or not."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.left = list(tokens)

    def either(self, yes: bool) -> str:
        """Read what `||` joins."""
        found = [self._both(yes)]
        while self._takes("|", "|"):
            found.append(self._both(yes))
        return found[0] if len(found) == 1 else f"({' || '.join(found)})"

    def _both(self, yes: bool) -> str:
        found = [self._one(yes)]
        while self._takes("&", "&"):
            found.append(self._one(yes))
        return found[0] if len(found) == 1 else f"({' && '.join(found)})"

    def _one(self, yes: bool) -> str:
        if self._ahead() == "!" and self._ahead(1) != "=":
            self._next()
            return f"!({self._one(not yes)})"
        if self._takes("("):
            found = self.either(yes)
            self._must(")")
            return found
        if self._ahead() in ("true", "false"):
            return self._next().text
        if self._takes("has", "("):
            path = self._path()
            self._must(")")
            return _guarded(path.guards, path.last, yes)
        return self._comparison(yes)

    def _comparison(self, yes: bool) -> str:
        if self.left and self.left[0].kind == "string" and self._ahead(1) == "in":
            written = self._text()
            self._next()
            path = self._path()
            kinds = ["list"] if path.text in REQUEST else ["map", "list"]
            if REQUEST.get(path.text, "list") != "list":
                raise Unknown(f"{path.text} is no list")
            typed = [" || ".join(f"type({path.text}) == {kind}" for kind in kinds)] if len(kinds) > 1 else []
            return _guarded([*path.there, *(f"({one})" for one in typed)], f"{written} in {path.text}", yes)
        path = self._path()
        if self._takes("."):
            return self._asked(path, yes)
        if self._takes("in"):
            return _guarded(path.there, f"{path.text} in {self._list()}", yes)
        for signs in (("=", "="), ("!", "=")):
            if self._takes(*signs):
                return _guarded(path.there, f"{path.text} {''.join(signs)} {self._value(path)}", yes)
        raise Unknown(f"what is said of {path.text} is not known")

    def _asked(self, path: _Path, yes: bool) -> str:
        name = self._next().text
        if name not in _METHODS or REQUEST.get(path.text, "string") != "string":
            raise Unknown(f"{name} is not known")
        self._must("(")
        written = self._text()
        self._must(")")
        typed = [] if path.text in REQUEST else [f"type({path.text}) == string"]
        return _guarded([*path.there, *typed], f"{path.text}.{name}({written})", yes)

    def _path(self) -> _Path:
        word = self._next()
        if word.kind != "name" or word.text not in (*OBJECTS, "request"):
            raise Unknown(f"{word.text!r} is no field")
        path = _Path(word.text)
        while self.left:
            if self._ahead() == "." and self._name(1) and self._ahead(2) != "(":
                self._next()
                path.field(self._next().text)
            elif path.last and word.text != "request" and self._ahead() == "[" and self._ahead(2) == "]":
                self._next()
                path.key(self._text())
                self._must("]")
            else:
                break
        if not path.last:
            raise Unknown(f"{word.text} is read whole")
        known = any(path.text == one or one.startswith(f"{path.text}.") for one in REQUEST)
        if word.text == "request" and (not known or path.text not in REQUEST):
            raise Unknown(f"{path.text} is not known")
        return path

    def _value(self, path: _Path) -> str:
        if path.text in REQUEST:
            if REQUEST[path.text] != "string":
                raise Unknown(f"{path.text} is no text")
            return self._text()
        token = self.left[0] if self.left else None
        if token is not None and (token.text in ("true", "false") or token.text.isdecimal()):
            return self._next().text
        return self._text()

    def _list(self) -> str:
        self._must("[")
        found = [self._text()]
        while self._takes(","):
            found.append(self._text())
        self._must("]")
        return f"[{', '.join(found)}]"

    def _text(self) -> str:
        token = self._next()
        if literal(token) is None:
            raise Unknown(f"{token.text!r} is no text")
        return token.text

    def _name(self, ahead: int) -> bool:
        return len(self.left) > ahead and self.left[ahead].kind == "name" and self.left[ahead].text[0] != "`"

    def _ahead(self, number: int = 0) -> str:
        return self.left[number].text if number < len(self.left) else ""

    def _takes(self, *texts: str) -> bool:
        if tuple(token.text for token in self.left[: len(texts)]) != texts:
            return False
        del self.left[: len(texts)]
        return True

    def _must(self, text: str) -> None:
        if not self._takes(text):
            raise Unknown(f"{text!r} is missing")

    def _next(self) -> Token:
        if not self.left:
            raise Unknown("it ends too early")
        return self.left.pop(0)


def _guarded(guards: Sequence[str], text: str, yes: bool) -> str:
    if not guards:
        return text
    joined = " && ".join(guards)
    return f"(!({joined}) || {text})" if yes else f"({joined} && {text})"
