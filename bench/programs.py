"""Builds G and the load generator from Go modules, once, into the cache outside of the tree."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import build

HERE = Path(__file__).resolve().parent / "go"
NAMES = ("g", "load", "watch")


def programs() -> dict[str, Path]:
    """Return the programs by name, built where these very sources are not built yet. SystemExit where that fails."""
    target = build.cache() / "bench" / _digest()
    if not all((target / name).exists() for name in NAMES):
        with build.locked(build.cache() / "bench"):
            _compile(target)
    return {name: target / name for name in NAMES}


def _digest() -> str:
    digest = hashlib.sha256(" ".join((*build.FLAGS, *build.ENVIRONMENT.values())).encode())
    for path in sorted(path for path in HERE.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(HERE)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(target: Path) -> None:
    build.say("building the yardstick and the load generator: 1 to 2 minutes, then never again")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=target) as scratch:
        command = [str(build.toolchain()), "build", *build.FLAGS, "-o", f"{scratch}/", *(f"./{name}" for name in NAMES)]
        done = subprocess.run(command, cwd=HERE, env={**os.environ, **build.ENVIRONMENT}, check=False)
        if done.returncode != 0:
            raise SystemExit("bench: `go build` failed, see above")
        for name in NAMES:
            (Path(scratch) / name).replace(target / name)
