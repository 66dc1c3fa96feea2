"""The CEL libraries give what the API server's own CEL gives.

cel_kubernetes.json holds expressions with the answers of k8s.io/apiserver at the version it names:
`ok` with the value as JSON, `error` at evaluation, `compile` where it does not compile.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from webhook.checks import cel
from webhook.checks.cellib import FUNCTIONS, few, work
from webhook.checks.cellib.text import scan
from webhook.errors import RuleError

CASES: list[list[Any]] = json.loads((Path(__file__).parent / "cel_kubernetes.json").read_text())["cases"]


@pytest.mark.parametrize(("expression", "outcome", "value"), CASES, ids=[str(case[0])[:60] for case in CASES])
def test_the_libraries_answer_as_kubernetes_does(expression: str, outcome: str, value: object) -> None:
    answer: object = None
    try:
        answer = cel.compile(expression, wants="any")(cel.activation({}))
        found = "ok"
    except RuleError:
        found = "error"
    except cel.CelError:
        found = "compile"
    # What Kubernetes refuses at compile time may be refused at evaluation here, never the other way.
    assert (found == "ok") == (outcome == "ok")
    assert json.dumps(answer, sort_keys=True) == json.dumps(value, sort_keys=True)


def test_every_library_function_has_two_answers_or_more_among_the_cases() -> None:
    used = Counter(token.text for case in CASES for token in scan(case[0]) if token.kind == "name")
    own = (*few.FUNCTIONS, *work.FUNCTIONS)
    written = {function.name.removeprefix("k8s_").rpartition(".")[2] for function in FUNCTIONS if function not in own}
    assert {name for name in written if used[name] < 2} == set()
