"""kubectl, as a person or a controller of the lab runs it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a kubectl said and how it ended."""

    command: str
    code: int
    out: str
    err: str

    def must(self) -> Answer:
        """Return itself; fails where kubectl did."""
        assert self.code == 0, f"{self.command}: status {self.code}\n{self.out}{self.err}"
        return self

    def refused(self) -> str:
        """Return what kubectl wrote to stderr; fails where it succeeded."""
        assert self.code == 1, f"{self.command}: status {self.code}, a refusal was expected\n{self.out}{self.err}"
        return self.err

    @property
    def warnings(self) -> list[str]:
        """The warnings of the API server, in the order in which they came."""
        prefix = "Warning: "
        return [line.removeprefix(prefix) for line in self.err.splitlines() if line.startswith(prefix)]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One user's kubectl: the program, the kubeconfig, and the namespace that it works in."""

    program: Path
    kubeconfig: Path
    namespace: str = "default"

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = 60.0) -> Answer:
        """Run kubectl with these arguments and the text on its stdin."""
        command = [str(self.program), "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace]
        done = subprocess.run(
            [*command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.kubeconfig.parent)},
        )
        return Answer("kubectl " + " ".join(arguments), done.returncode, done.stdout, done.stderr)

    def within(self, namespace: str) -> Kubectl:
        """Return the same user's kubectl for another namespace."""
        return Kubectl(self.program, self.kubeconfig, namespace)

    def apply(self, *objects: Object, options: tuple[str, ...] = ()) -> Answer:
        """`kubectl apply -f -` of these objects."""
        return self("apply", "-f", "-", *options, stdin=yaml.safe_dump_all(objects))

    def create(self, *objects: Object, options: tuple[str, ...] = ()) -> Answer:
        """`kubectl create -f -` of these objects."""
        return self("create", "-f", "-", *options, stdin=yaml.safe_dump_all(objects))

    def get(self, what: str, *options: str) -> Object:
        """Return one object, named `kind/name`, as the API server has it; fails where it is not there."""
        found: Object = json.loads(self("get", what, "-o", "json", *options).must().out)
        return found

    def all(self, kind: str, *options: str) -> list[Object]:
        """Return all objects of a kind in the namespace."""
        items: list[Object] = json.loads(self("get", kind, "-o", "json", *options).must().out)["items"]
        return items

    def patch(self, what: str, patch: object, kind: str = "merge", options: tuple[str, ...] = ()) -> Answer:
        """`kubectl patch` with a merge, strategic or json patch."""
        return self("patch", what, f"--type={kind}", "-p", json.dumps(patch), *options)
