"""Get the registry of the tests: Debian's package `docker-registry`, into a cache outside the tree.

`python tests/registry/install.py` prints the program's path on stdout; all that is said on the way goes to stderr.
Needs Python's standard library only, as the control plane's build does.

- A `docker-registry` on PATH is used as it is.
- Else the package is downloaded by apt, which verifies it, and unpacked: nothing is installed into the system, no
  service starts, and nobody has to be root.
- apt's lists are the machine's; where those are missing or old, lists are fetched into a scratch directory.
- The program appears under its name only when it is whole: it is started once, then renamed.

Exit status: 0 the program is there, 1 it is not, and the text says what to do.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "controlplane"))

import build  # noqa: E402

PACKAGE = PROGRAM = "docker-registry"
OTHERWISE = f"install the package {PACKAGE} of Debian or Ubuntu, or put a distribution 2.8 on PATH as {PROGRAM}"


def home() -> Path:
    """Return the directory in the cache that holds the program."""
    return build.cache() / "registry" / platform.machine()


def locate() -> Path | None:
    """Return the program, from PATH or from the cache, None where it is in neither."""
    on_path = shutil.which(PROGRAM)
    if on_path:
        return Path(on_path).resolve()
    cached = home() / PROGRAM
    return cached if os.access(cached, os.X_OK) else None


def install() -> Path:
    """Return the program, which is fetched where `locate` has none; raises SystemExit where that fails."""
    found = locate()
    if found:
        return found
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SystemExit(f"registry: {PROGRAM} is not on PATH, and there is no apt-get to fetch it: {OTHERWISE}")
    with build.locked(home()):
        if not (home() / PROGRAM).exists():  # another may have fetched it while this one waited
            _fetch()
    return home() / PROGRAM


def _fetch() -> None:
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=home()) as directory:
        scratch = Path(directory)
        packages = _download(scratch)
        subprocess.run(["dpkg-deb", "--extract", packages, scratch / "root"], check=True)
        program = scratch / "root" / "usr" / "bin" / PROGRAM
        subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL)
        program.replace(home() / PROGRAM)
    say(f"{PROGRAM} is in {home()}")


def _download(scratch: Path) -> Path:
    """Download the package; raises SystemExit with what apt said."""
    say(f"fetching Debian's package {PACKAGE}, 5 MB")
    lists, archives = scratch / "lists", scratch / "cache" / "archives"
    own = [f"-oDir::State::lists={lists}", f"-oDir::Cache={archives.parent}"]
    first = _apt(scratch, "download", PACKAGE)
    if first.returncode != 0:
        for each in (lists, archives):
            (each / "partial").mkdir(parents=True)
        say("apt's lists have no such package, or an old one: fetching lists")
        # one source that is out of reach makes this fail, though the package may be in another
        update = _apt(scratch, *own, "update")
        second = _apt(scratch, *own, "download", PACKAGE)
        if second.returncode != 0:
            said = "\n".join(each.stderr.strip() for each in (first, update, second))
            raise SystemExit(f"{said}\nregistry: apt-get could not fetch {PACKAGE}, see above: {OTHERWISE}")
    return next(scratch.glob(f"{PACKAGE}_*.deb"))


def _apt(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # root would hand the download to the user _apt, who may not write here
    command = ["apt-get", "--quiet", "-oAPT::Sandbox::User=root", *arguments]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def say(text: str) -> None:
    """Tell the person who waits, on stderr."""
    print(f"registry: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(f"{PROGRAM}\t{install()}")
