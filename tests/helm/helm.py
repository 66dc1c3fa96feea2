"""Build the Helms of the chart's tests, once, into the cache outside the tree.

`python tests/helm/helm.py` prints one line on stdout for each, `name<TAB>path`; all that is said on the way goes to
stderr. Needs Python's standard library only, as the control plane's build does.

- Each version of Helm is a Go module of its own, `v3/` and `v4/`, with the very dependencies that it was released with.
- What is built lives in `helm/<name>-<hash of its go.mod, go.sum and the build's flags>` of the cache, so that a new
  clone finds it, and a change of one builds no other.
- A program appears under its name only when it is whole: it is built beside it, started once, then renamed.

Exit status: 0 all are there, 1 a build failed (what it said is shown).
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "controlplane"))

import build as controlplane  # noqa: E402

NAMES = ("helm3", "helm4")


def locate() -> dict[str, Path]:
    """Return the programs that are built, by name."""
    return {name: home(name) for name in NAMES if os.access(home(name), os.X_OK)}


def build() -> dict[str, Path]:
    """Build what `locate` misses and return all by name; raises SystemExit where that fails."""
    for name in NAMES:
        if name not in locate():
            with controlplane.locked(home(name).parent):
                if name not in locate():  # another build may have made it while this one waited
                    compile_program(name)
    return locate()


def home(name: str) -> Path:
    """Return where the program of this very go.mod and go.sum is kept."""
    digest = hashlib.sha256()
    for path in (module(name) / "go.mod", module(name) / "go.sum"):
        digest.update(path.read_bytes())
    digest.update(" ".join((*controlplane.FLAGS, *ldflags(name), *controlplane.ENVIRONMENT.values())).encode())
    digest.update(f"{platform.system()}/{platform.machine()}".encode())
    return controlplane.cache() / "helm" / f"{name}-{digest.hexdigest()[:16]}"


def module(name: str) -> Path:
    """Return the directory of a Helm's Go module."""
    return HERE / name.replace("helm", "v")


def version(name: str) -> str:
    """Return the version of a Helm, as its go.mod names it, e.g. `v4.3.1`."""
    return required(name, f"helm.sh/helm/{module(name).name}")


def required(name: str, package: str) -> str:
    """Return the version at which the go.mod of a Helm requires a module."""
    found = re.search(rf"^\t{re.escape(package)} (v\S+)( // indirect)?$", (module(name) / "go.mod").read_text(), re.M)
    if found is None:
        raise SystemExit(f"{module(name) / 'go.mod'}: no line that requires {package}")
    return found[1]


def ldflags(name: str) -> list[str]:
    """Return the linker's flags: no debug tables, what `helm version` says, and the Kubernetes that charts meet.

    As Helm's own Makefile sets them. A chart's kubeVersion is compared with that of the libraries, which Helm 4 sees
    by itself.
    """
    package = f"helm.sh/helm/{module(name).name}"
    values = {f"{package}/internal/version.version": version(name)}
    if name == "helm3":
        minor = required(name, "k8s.io/client-go").split(".")[1]
        values |= {f"{package}/pkg/{place}.k8sVersionMajor": "1" for place in ("chartutil", "lint/rules")}
        values |= {f"{package}/pkg/{place}.k8sVersionMinor": minor for place in ("chartutil", "lint/rules")}
    return ["-s", "-w", *(f"-X {key}={value}" for key, value in values.items())]


def compile_program(name: str) -> None:
    """Build one Helm and rename it into place once it starts."""
    target = home(name)
    say(f"building {name} {version(name)} into {target}: 2 to 6 minutes on 2 cores, then never again")
    with tempfile.TemporaryDirectory(prefix="building-", dir=target.parent) as scratch:
        program = Path(scratch) / name
        command = [str(controlplane.toolchain()), "build", *controlplane.FLAGS, f"-ldflags={' '.join(ldflags(name))}"]
        package = f"helm.sh/helm/{module(name).name}/cmd/helm"
        environment = {**os.environ, **controlplane.ENVIRONMENT}
        done = subprocess.run(
            [*command, "-o", program, package],
            cwd=module(name),
            env=environment,
            stdout=sys.stderr,
            stderr=sys.stderr,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"helm: `go build` of {name} failed, see above")
        subprocess.run([program, "version", "--short"], check=True, stdout=subprocess.DEVNULL)
        program.replace(target)
    say(f"{name} is built")


def say(text: str) -> None:
    """Tell the person who waits, on stderr."""
    print(f"helm: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    for each, path in sorted(build().items()):
        print(f"{each}\t{path}")
