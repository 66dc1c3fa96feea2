"""`plimsoll review`: what it reads, and what it does with what is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "cli" / "review-denied"


def test_a_file_is_read_as_stdin_is(plimsoll: Callable[..., Any]) -> None:
    asked = (GOLDEN / "stdin").read_bytes()
    Path("asked.json").write_bytes(asked)

    from_file = plimsoll("review", "--endpoint", "advise", "asked.json")

    assert from_file == plimsoll("review", "--endpoint", "advise", stdin=asked)
    assert from_file.status == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "stdin: the body is not JSON"),
        (b"[]", "stdin: the body is a JSON array, wanted an AdmissionReview object"),
        (b"{}", "stdin: kind is missing, wanted AdmissionReview"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}', "stdin: apiVersion is"),
        (b" " * (7 * 2**20 + 1), "stdin: the review is too large; at most 7340032 bytes are read"),
    ],
)
def test_what_is_no_review_is_said_in_a_sentence(plimsoll: Callable[..., Any], body: bytes, said: str) -> None:
    ran = plimsoll("review", stdin=body)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(said)


def test_a_missing_file_is_said(plimsoll: Callable[..., Any]) -> None:
    assert plimsoll("review", "gone.json").err == "gone.json: cannot be read: No such file or directory\n"
