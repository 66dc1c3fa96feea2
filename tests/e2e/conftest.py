"""Fixtures of the end-to-end tests: one control plane for the session, a namespace for each test.

Nothing here skips. Where the control plane's programs are missing, every test fails and says what to run.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "controlplane"), str(HERE.parent / "helm")]

import build  # noqa: E402
from lab import controlplane, packs, plimsoll, webhooks  # noqa: E402
from lab.golden import Golden  # noqa: E402
from lab.kubectl import Kubectl  # noqa: E402
from lab.process import Process, eventually  # noqa: E402

ControlPlane = controlplane.ControlPlane
LOGS = pytest.StashKey[list[Process]]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep a list of the processes that this session starts, for the report of a failure."""
    config.stash[LOGS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every process's log with a failure, and where the whole of it is."""
    report = yield
    if report.failed:
        for process in item.config.stash[LOGS]:
            report.sections.append((f"{process.name}: the end of {process.log}", process.tail(15)))
    return report


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    """The programs of the control plane, by name."""
    found, missing = build.locate()
    if missing:
        text = f"no {', '.join(missing)} in KUBEBUILDER_ASSETS or {build.home()}: run `make deps`"
        pytest.fail(text, pytrace=False)
    return found


@pytest.fixture(scope="session")
def cluster(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[ControlPlane]:
    """The control plane that all tests share; tests keep apart by namespace."""
    plane = controlplane.launch(tmp_path_factory.mktemp("cluster"), programs)
    pytestconfig.stash[LOGS] += [
        plane.processes["kube-apiserver"],
        plane.processes["kube-controller-manager"],
    ]
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def logs(pytestconfig: pytest.Config) -> list[Process]:
    """The processes whose logs are shown with a failure; a test may add its own."""
    return pytestconfig.stash[LOGS]


@pytest.fixture(scope="session")
def new_namespace(cluster: ControlPlane) -> Callable[[], Kubectl]:
    """Make a namespace with its service account and return the administrator's kubectl in it."""
    numbers = itertools.count(1)

    def make() -> Kubectl:
        name = f"test-{next(numbers)}"
        kubectl = cluster.admin.within(name)
        kubectl("create", "namespace", name).must()
        eventually(lambda: kubectl("get", "serviceaccount", "default").code == 0, what="the service account")
        return kubectl

    return make


@pytest.fixture
def kubectl(new_namespace: Callable[[], Kubectl]) -> Kubectl:
    """The administrator's kubectl in a namespace of this test's own."""
    return new_namespace()


@pytest.fixture(scope="session")
def serve(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Callable[..., plimsoll.Server]]:
    """Start Plimsoll with packs, values or paths; tests that want the same packs share a server.

    Its clock is so many days `ahead` of the cluster's.
    """
    servers: dict[str, plimsoll.Server] = {}

    def start(*rules: dict[str, Any] | Path, options: tuple[str, ...] = (), ahead: int = 0) -> plimsoll.Server:
        key = yaml.safe_dump([[str(each) if isinstance(each, Path) else each for each in rules], list(options), ahead])
        if key not in servers:
            directory = tmp_path_factory.mktemp("plimsoll")
            policies = [written(directory, each) for each in rules]
            servers[key] = plimsoll.serve(directory, policies, *options, ahead=ahead)
            pytestconfig.stash[LOGS].append(servers[key].process)
        return servers[key]

    def written(directory: Path, pack: dict[str, Any] | Path) -> Path:
        if isinstance(pack, Path):
            return pack
        path = directory / f"{pack['metadata']['name']}.yaml"
        path.write_text(yaml.safe_dump(pack, sort_keys=False))
        return path

    yield start
    for server in servers.values():
        server.process.stop()


@pytest.fixture
def guard(cluster: ControlPlane) -> Iterator[Callable[..., None]]:
    """Send a namespace's workloads to endpoints of a server until the test ends."""
    with ExitStack() as stack:

        def install(kubectl: Kubectl, server: plimsoll.Server, *endpoints: str, **fields: str) -> None:
            selector = webhooks.only(kubectl.namespace)
            configurations = [
                webhooks.configuration(
                    f"{kubectl.namespace}-{endpoint}", endpoint, server.url, server.bundle, selector, **fields
                )
                for endpoint in endpoints
            ]
            stack.enter_context(webhooks.installed(cluster.admin, *configurations))

        yield install


@pytest.fixture(scope="session")
def golden(pytestconfig: pytest.Config) -> Golden:
    """The golden files; `--golden` writes them anew."""
    return Golden(renew=pytestconfig.getoption("--golden"))


@pytest.fixture
def strict(
    kubectl: Kubectl, serve: Callable[..., plimsoll.Server], guard: Callable[..., None]
) -> Callable[[], Kubectl]:
    """The test's kubectl; calling the fixture puts its namespace under the pack `strict` from then on."""

    def begin() -> Kubectl:
        guard(kubectl, serve(packs.STRICT), "validate")
        return kubectl

    return begin
