"""Gives dataclasses a constructor that is written out, so that mypyc compiles it.

`dataclass` writes `__init__` when a module is imported, which is Python, however the class is compiled: a call of the
interpreter for each object, and one more for each of its fields. A review makes some twenty objects with the four core
rules, and more with others; written out, they were 12 to 17 % of a review's CPU.

In the sources nobody wants to read each field three times. So this adds one line behind each class, where there is a
blank one anyway: no other line moves, and a traceback means the source as it is. `dataclass` leaves alone an `__init__`
that is there. Where a class asks for more than this knows, nothing is added, and it works as before.
"""

from __future__ import annotations

import ast

DECORATORS = ("record", "dataclass")
"""What makes a dataclass: `webhook/model/record.py`, and Python's own."""


def written_out(source: str) -> str:
    """Return the source of a module in which each dataclass that is simple enough has an `__init__`."""
    lines = source.split("\n")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and any(map(_makes, node.decorator_list)):
            line = constructor(node)
            after = node.end_lineno
            if line and after is not None and after < len(lines) and not lines[after].strip():
                lines[after] = f"    {line}"
    return "\n".join(lines)


def constructor(node: ast.ClassDef) -> str:
    """Return a dataclass's `__init__` as one line, or nothing where it has one, or is more than a list of fields."""
    parameters: list[str] = []
    statements: list[str] = []
    methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
    simple = all(_named(base, "Generic", "Protocol") for base in node.bases) and not node.keywords
    if not simple or "__init__" in methods:
        return ""
    for field in (one for one in node.body if isinstance(one, ast.AnnAssign)):
        kind, name = ast.unparse(field.annotation), ast.unparse(field.target)
        if kind.startswith("ClassVar"):
            continue
        if kind.startswith("InitVar") or kind.endswith("KW_ONLY"):
            return ""
        parameter, value = f"{name}: {kind}", name
        if isinstance(field.value, ast.Call) and _named(field.value.func, "field"):
            told = {str(one.arg): ast.unparse(one.value) for one in field.value.keywords}
            if {"init", "kw_only"} & told.keys():
                return ""
            if "default_factory" in told:
                parameter = f"{name}: {kind} | None = None"
                value = f"({told['default_factory']})() if {name} is None else {name}"
            elif "default" in told:
                parameter += f" = {told['default']}"
        elif field.value is not None:
            parameter += f" = {ast.unparse(field.value)}"
        parameters.append(parameter)
        statements.append(f"self.{name} = {value}")
    if not parameters:
        return ""
    if "__post_init__" in methods:
        statements.append("self.__post_init__()")
    # mypy keeps frozen dataclasses from being written to, this one place among them
    return f"def __init__(self, {', '.join(parameters)}) -> None: {'; '.join(statements)}  # type: ignore"


def _makes(decorator: ast.expr) -> bool:
    return _named(decorator.func if isinstance(decorator, ast.Call) else decorator, *DECORATORS)


def _named(node: ast.expr, *names: str) -> bool:
    """Say whether an expression is one of the names, whatever module it is taken from, and whatever it is given."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return ast.unparse(node).rpartition(".")[2] in names
