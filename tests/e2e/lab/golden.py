"""Texts that people see, kept as files: what differs is shown, and looked at before it is renewed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "golden" / "e2e"
NAMES = frozenset({"refused-deployment", "refused-sample", "warned-deployment"})


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden files of the end-to-end tests; with `renew` they are written and not compared."""

    renew: bool

    def check(self, name: str, text: str) -> None:
        """Hold a text against the golden file of that name."""
        assert name in NAMES, f"{name} is not among the NAMES of golden files"
        path = DIRECTORY / f"{name}.txt"
        if self.renew:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path} is not there; `make golden` writes it"
        assert text == path.read_text()
