"""The modules that mypyc compiles: built once, put beside their sources, and told when they are out of date.

    python -m tools.compiled             # `make compiled`: the tree runs compiled
    python -m tools.compiled --remove    # `make pure`: the tree runs as it is typed
    python -m tools.compiled --wheel DIR # the wheel alone, for an image

Which modules these are stands in pyproject.toml, at `hooks.mypyc`; why there are any: docs/decisions/0017-compiled.md.

- The wheel is kept in build/compiled, under the hash of all that it is made of, and built again once that has changed.
- It is built from a copy of the sources, since the build moves pyproject.toml out of its way meanwhile, and since
  dataclasses get a constructor there (tools/constructors.py).
- It is built by what is installed, not by what pip would fetch: `make` installs it as requirements-dev.lock says.

Needs Python's standard library only, but for the build itself.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.constructors import written_out

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("webhook", "policies", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
"""What a wheel is built from: the build's input."""
COUNTED = (
    "webhook",
    "policies",
    "pyproject.toml",
    "requirements-build.lock",
    "requirements.lock",
    "tools/constructors.py",
)
"""What makes a wheel another one. The texts that people read don't: a wheel is not compiled again for them."""
LEFT = shutil.ignore_patterns("*.so", "__pycache__")
"""What of a directory is made of the rest, and left behind where it is copied."""
SWITCH = "HATCH_BUILD_HOOKS_ENABLE"
"""The variable with which the build compiles."""
LINKER = "-Wl,-Bsymbolic"
"""What the library calls of itself is called directly, not through a table in which others could replace it: 15 % of a
review's CPU."""
HEADERS = Path(sysconfig.get_path("include"))
"""Where those of this Python are, where they are."""


def main() -> int:
    """Put what is compiled into the tree, or take it away; 1 where it cannot be compiled."""
    parser = argparse.ArgumentParser(prog="python -m tools.compiled", description=__doc__.partition("\n")[0])
    parser.add_argument("--remove", action="store_true", help="take away what was compiled")
    parser.add_argument("--wheel", metavar="DIR", type=Path, help="put the wheel there, and leave the tree as it is")
    arguments = parser.parse_args()
    if arguments.remove:
        remove(ROOT)
        return 0
    try:
        if arguments.wheel:
            arguments.wheel.mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel(ROOT), arguments.wheel)
        else:
            put(ROOT, wheel(ROOT))
    except OSError as error:
        print(f"make compiled: {error}", file=sys.stderr)
        return 1
    return 0


def stale(root: Path) -> list[str]:
    """Return a sentence for each module that would not run as it is typed: it is newer than what was compiled of it.

    By the time of the files: `put` comes after whatever wrote the source, be it an editor or a checkout.
    """
    return [sentence for binary in _beside(root) if (sentence := _stale(root, binary))]


def _stale(root: Path, binary: Path) -> str:
    source = binary.with_name(f"{binary.name.partition('.')[0]}.py")
    name = source.relative_to(root)
    if not source.exists():
        return f"{name} is gone, and what was compiled of it is not: `make compiled` or `make pure`"
    if source.stat().st_mtime_ns > binary.stat().st_mtime_ns:
        return f"{name} is newer than what was compiled of it: `make compiled` or `make pure`"
    return ""


def put(root: Path, built: Path) -> None:
    """Put what a wheel has compiled beside the sources, in place of what was there, with the time of now."""
    with zipfile.ZipFile(built) as archive:
        remove(root)
        for name in sorted(name for name in archive.namelist() if name.endswith(".so")):
            (root / name).write_bytes(archive.read(name))


def remove(root: Path) -> None:
    """Take away all that was compiled. Processes that run it go on: they have the files open."""
    for binary in [*_beside(root), *root.glob("*__mypyc.*.so")]:
        binary.unlink()


def plain(root: Path, place: Path) -> None:
    """Lay the package out in a directory without what is compiled of it."""
    shutil.copytree(root / "webhook", place / "webhook", ignore=LEFT)


def _beside(root: Path) -> list[Path]:
    return sorted((root / "webhook").rglob("*.so"))


def wheel(root: Path) -> Path:
    """Return the compiled wheel of the sources as they are, built where it isn't yet. OSError says why it cannot be."""
    kept = root / "build" / "compiled"
    home = kept / _digest(root)
    with _locked(kept):
        if not home.exists():
            if lacks := lacking():
                raise OSError(lacks)
            print(
                "make compiled: 4 minutes and more, then not again until a source changes", file=sys.stderr, flush=True
            )
            with tempfile.TemporaryDirectory(prefix="plimsoll-") as scratch:
                _build(root, Path(scratch))
                for former in kept.glob("*/"):
                    shutil.rmtree(former)
                shutil.copytree(Path(scratch) / "dist", kept / "whole")
                (kept / "whole").rename(home)
    [built] = home.glob("*.whl")
    return built


def _digest(root: Path) -> str:
    """Return the hash of all that decides what the wheel is, this Python and machine among it."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()} {' '.join(_compiler())} {LINKER}".encode())
    for part in COUNTED:
        for path in sorted([root / part, *(root / part).rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so":
                digest.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(root: Path, scratch: Path) -> None:
    """Build the wheel into `dist` of an empty directory, from a copy of the sources."""
    sources = scratch / "sources"
    sources.mkdir()
    for part in SOURCES:
        if (root / part).is_dir():
            shutil.copytree(root / part, sources / part, ignore=LEFT)
        else:
            shutil.copy2(root / part, sources / part)
    for module in modules(sources):
        module.write_text(written_out(module.read_text(encoding="utf-8")), encoding="utf-8")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(scratch / "dist")]
    environment = {**os.environ, SWITCH: "1", "LDFLAGS": f"{os.environ.get('LDFLAGS', '')} {LINKER}".strip()}
    done = subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        _, _, said = done.stderr.rpartition("Error while invoking Mypyc:\n")
        raise OSError(f"it does not compile.\n{said.rstrip()}")


def modules(root: Path) -> list[Path]:
    """Return the modules of a tree that are compiled, as its pyproject.toml has them."""
    told = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    hook = told["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    found = {path for pattern in hook["include"] for path in root.glob(pattern.lstrip("/"))}
    left = {root / name.lstrip("/") for name in hook["exclude"] if name.startswith("/")}
    return sorted(path for path in found - left if path.name not in hook["exclude"])


def lacking(headers: Path = HEADERS) -> str:
    """Return what this machine lacks to compile, and what to install, in a sentence; empty where it lacks nothing."""
    compiler, version = _compiler(), sysconfig.get_python_version()
    if shutil.which(compiler[0]) is None:
        advice = "install gcc (Debian, Ubuntu: apt install gcc libc6-dev), or name another in CC"
        return f"no C compiler: `{compiler[0]}` is not on the PATH; {advice}"
    if not (headers / "Python.h").exists():
        advice = f"install them (Debian, Ubuntu: apt install python{version}-dev)"
        return f"Python {version} is there without its headers, {headers / 'Python.h'} is missing; {advice}"
    probe = [*compiler, "-fsyntax-only", "-x", "c", "-I", str(headers), "-"]
    done = subprocess.run(probe, input="#include <Python.h>\n", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        advice = "install the headers of the C library (Debian, Ubuntu: apt install libc6-dev)"
        return f"`{compiler[0]}` cannot compile for Python {version}: {_first_error(done.stderr)}; {advice}"
    return ""


def _compiler() -> list[str]:
    """Return the command of the C compiler, as the build finds it."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def _first_error(said: str) -> str:
    return next((line for line in said.splitlines() if "error" in line), said.strip())


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the only build of a directory; the lock ends with the process, however that ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
