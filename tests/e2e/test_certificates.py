"""The certificate looks after itself: on a real API server, with the rights that the documentation gives."""

from __future__ import annotations

import base64
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from lab import packs, plimsoll, webhooks, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.process import Process, eventually, free_ports, start
from lab.rest import Rest

from webhook.tls import dev, issue
from webhook.tls.issue import KeyPair

LEAF, AUTHORITY = "plimsoll-tls", "plimsoll-tls-ca"
TEN = 10.0
"""Seconds in which a server that has started serves or says why not."""
GRACE = 3
POD = workloads.pod("web", workloads.pod_spec(workloads.container()))
DAY = timedelta(days=1)
GARBAGE = {"tls.crt": b"x", "tls.key": b"y", "ca.crt": b"z", "ca.key": b"", "ca-bundle.crt": b"w"}


@dataclass(frozen=True, slots=True)
class Replica:
    """A server that may lack a certificate."""

    process: Process
    port: int
    health: int

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a page; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> bool:
        """Say whether it is ready."""
        return self.page("/readyz")[0] == 200

    def answers(self) -> bool:
        """Say whether it says anything."""
        return self.page("/readyz")[0] != 0 and "no worker is live" not in self.page("/readyz")[1]


@dataclass(slots=True)
class Home:
    """A namespace with what the documentation has there, and replicas in it."""

    cluster: ControlPlane
    kubectl: Kubectl
    directory: Path
    rest: Rest
    logs: list[Process]
    replicas: list[Replica] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """Where it is."""
        return self.kubectl.namespace

    def path(self, name: str) -> str:
        """Return the path of a Secret."""
        return f"/api/v1/namespaces/{self.namespace}/secrets/{name}"

    def secret(self, name: str) -> dict[str, bytes]:
        """Return what a Secret holds."""
        body = self.rest.send("GET", self.path(name)).body
        return {key: base64.b64decode(value) for key, value in (body.get("data") or {}).items()}

    def write(self, name: str, values: dict[str, bytes]) -> None:
        """Have a Secret hold just this."""
        data = {key: base64.b64encode(text).decode() for key, text in values.items()}
        self.kubectl.patch(f"secret/{name}", [{"op": "add", "path": "/data", "value": data}], kind="json").must()

    def launch(self, *options: str) -> Replica:
        """Start a replica, and wait until it says something; it need not become ready."""
        found = self.begin(*options)
        found.process.wait_until(found.answers, plimsoll.READY_WITHIN)
        return found

    def begin(self, *options: str) -> Replica:
        """Start a replica."""
        number = len(self.replicas)
        home = self.directory / f"replica-{number}"
        home.mkdir()
        (home / "strict.yaml").write_text(yaml.safe_dump(packs.STRICT, sort_keys=False))
        port, health = free_ports(2)
        command = [
            *[*plimsoll.COMMAND, "serve", "--bind", "127.0.0.1", "--port", str(port), "--health-port", str(health)],
            *["--workers", "1", "--drain", "0", "--log-format", "text", "--policies", str(home / "strict.yaml")],
            *["--certificate-secret", LEAF, "--certificate-grace", str(GRACE), "--service", "plimsoll"],
            *["--kubeconfig", str(self.directory / "kubeconfig"), *options],
        ]
        process = start(f"replica {number}", command, home / "log", plimsoll.environment(), cwd=home)
        self.logs.append(process)
        found = Replica(process, port, health)
        self.replicas.append(found)
        return found

    def asks(self) -> int:
        """Ask for a pod, and return the API server's status."""
        return self.rest.dry("POST", f"/api/v1/namespaces/{self.namespace}/pods", POD).status

    def renew(self, name: str) -> None:
        """Ask for a Secret's certificate to be made anew, as the documentation says, and wait until it was."""
        self.kubectl("annotate", "secret", name, "plimsoll.dev/renew=now").must()
        eventually(lambda: "annotations" not in self.rest.send("GET", self.path(name)).body["metadata"], 30)


def documented() -> list[Object]:
    """Return the objects of the page's section."""
    text = (plimsoll.ROOT / "docs" / "cluster.md").read_text().partition("### Kept by itself")[2]
    return list(yaml.safe_load_all(text.partition("```yaml")[2].partition("```")[0]))


def placed(document: Object, namespace: str) -> Object:
    """Return an object of the page for another namespace."""
    document = {**document, "metadata": {**document["metadata"], "namespace": namespace}}
    if "subjects" in document:
        document["subjects"] = [{**subject, "namespace": namespace} for subject in document["subjects"]]
    return document


@pytest.fixture
def home(
    cluster: ControlPlane, new_namespace: Callable[[], Kubectl], tmp_path: Path, logs: list[Process]
) -> Iterator[Home]:
    """A namespace with empty Secrets, and a service account with the role of the page."""
    kubectl = new_namespace()
    kubectl("create", "serviceaccount", "plimsoll").must()
    kubectl.create(*[placed(document, kubectl.namespace) for document in documented()]).must()
    token = kubectl("create", "token", "plimsoll").must().out.strip()
    content = yaml.safe_load(cluster.kubeconfig("admin", "system:masters").read_text())
    content["users"] = [{"name": "plimsoll", "user": {"token": token}}]
    content["contexts"] = [
        {"name": "lab", "context": {"cluster": "lab", "user": "plimsoll", "namespace": kubectl.namespace}}
    ]
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    with Rest(cluster) as rest:
        found = Home(cluster, kubectl, tmp_path, rest, logs)
        yield found
        for replica in found.replicas:
            replica.process.stop()


@contextmanager
def guarded(home: Home, bundle: bytes = b"") -> Iterator[None]:
    """Have every replica judge each pod of the namespace; `caBundle` follows the Secret, as an operator would do it.

    `bundle` is what the configuration has at first.
    """
    name = f"{home.namespace}-certificates"
    made = webhooks.configuration(name, "validate", "", bundle, webhooks.only(home.namespace))
    first, probe = made["webhooks"]
    each = [
        {
            **first,
            "name": f"replica-{number}.plimsoll.dev",
            "clientConfig": {**first["clientConfig"], "url": f"https://127.0.0.1:{replica.port}/validate"},
        }
        for number, replica in enumerate(home.replicas)
    ]
    over = threading.Event()
    path = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{name}"

    def follow() -> None:
        told = bundle
        while not over.wait(0.2):
            wanted = home.secret(AUTHORITY).get("ca-bundle.crt", b"")
            if not issue.split(wanted) or wanted == told:
                continue
            body = home.rest.send("GET", path).body
            for webhook in body["webhooks"][:-1]:
                webhook["clientConfig"]["caBundle"] = base64.b64encode(wanted).decode()
            if home.rest.send("PUT", path, body).status == 200:
                told = wanted

    with ExitStack() as stack:
        stack.enter_context(webhooks.installed(home.cluster.admin, {**made, "webhooks": [*each, probe]}))
        thread = threading.Thread(target=follow)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        yield


@contextmanager
def load(home: Home) -> Iterator[list[int]]:
    """Ask for pods all the time; gives the statuses, which grow."""
    over, statuses = threading.Event(), []

    def ask() -> None:
        while not over.wait(0.02):
            reply = home.rest.dry("POST", f"/api/v1/namespaces/{home.namespace}/pods", POD)
            statuses.append(reply.status)
            if reply.status != 201:
                failures.append(str(reply.body.get("message")))

    failures: list[str] = []
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(statuses) > 10, what="calls")
        yield statuses
        count = len(statuses)
        eventually(lambda: len(statuses) > count + 20, what="calls after all that")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, (len(failures), len(statuses), failures[:3])


def names(home: Home) -> tuple[list[str], list[str]]:
    return issue.sort(dev.wanted("plimsoll", home.namespace, ()))


def pair(home: Home, ca: KeyPair, now: datetime | None = None, days: int = 90) -> KeyPair:
    return issue.server(ca, *names(home), now or datetime.now(UTC), days)


def hold(home: Home, ca: KeyPair, leaf: KeyPair, bundle: bytes | None = None) -> None:
    """Have the Secrets hold an authority and a certificate."""
    home.write(AUTHORITY, {"ca.crt": ca.certificate, "ca.key": ca.key, "ca-bundle.crt": bundle or ca.certificate})
    home.write(LEAF, {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": ca.certificate})


STATES = ("empty", "expired", "not yet valid", "wrong name", "other key", "other authority", "garbage", "empty bundle")


def spoil(home: Home, state: str, ca: KeyPair) -> None:
    """Have the Secrets be in one bad state; the authority is a good one, but for the first state."""
    now = datetime.now(UTC)
    good, other = pair(home, ca), issue.authority(now)
    leaf = {
        "expired": pair(home, ca, now - 200 * DAY),
        "not yet valid": pair(home, ca, now + 2 * DAY),
        "wrong name": issue.server(ca, ["elsewhere.example"], [], now),
        "other key": KeyPair(good.certificate, pair(home, ca).key),
        "other authority": pair(home, other),
        "garbage": KeyPair(b"\x00\xff\n", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    }.get(state, good)
    if state == "empty":
        home.write(LEAF, {"tls.crt": b"", "tls.key": b""})
        return
    hold(home, ca, leaf)
    if state == "empty bundle":
        home.write(AUTHORITY, {"ca.crt": ca.certificate, "ca.key": ca.key, "ca-bundle.crt": b""})


@pytest.mark.parametrize("state", STATES)
def test_a_bad_state_at_start_ends_serving(home: Home, state: str) -> None:
    ca = issue.authority(datetime.now(UTC))
    spoil(home, state, ca)
    replica = home.launch()
    eventually(replica.ready, TEN, f"ready after {state}: {replica.page('/readyz')}")
    with guarded(home):
        eventually(lambda: home.asks() == 201, TEN, f"a review after {state}")
    assert no_key_in(home)


@pytest.mark.parametrize("name", [LEAF, AUTHORITY])
def test_a_missing_secret_is_said_at_once_and_filled_when_it_is_made(home: Home, name: str) -> None:
    home.kubectl("delete", "secret", name).must()
    replica = home.launch()
    command = f"kubectl -n {home.namespace} create secret generic {name}"
    eventually(lambda: command in replica.page("/readyz")[1], TEN, "the command that makes it")
    assert replica.page("/readyz")[0] == 503
    assert replica.page("/healthz")[0] == 200
    with pytest.raises(OSError):
        served(replica, home)
    home.kubectl(*command.split()[1:]).must()
    eventually(replica.ready, TEN, "ready")
    with guarded(home):
        eventually(lambda: home.asks() == 201, TEN, "a review")


def test_without_the_right_and_without_an_api_server_it_is_plainly_not_ready(home: Home) -> None:
    home.kubectl("delete", "rolebinding", "plimsoll-certificate").must()
    replica = home.launch()
    eventually(lambda: "no certificate yet" in replica.page("/readyz")[1], TEN)
    eventually(lambda: 'secrets "plimsoll-tls" is forbidden' in replica.page("/readyz")[1], TEN, "the right")
    nowhere = yaml.safe_load((home.directory / "kubeconfig").read_text())
    nowhere["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (home.directory / "nowhere").write_text(yaml.safe_dump(nowhere))
    lost = home.launch("--kubeconfig", str(home.directory / "nowhere"))
    eventually(lambda: "can't be read: GET" in lost.page("/readyz")[1], TEN, "no API server")
    home.kubectl.create(
        *[placed(each, home.namespace) for each in documented() if each["kind"] == "RoleBinding"]
    ).must()
    eventually(replica.ready, 2 * TEN, "ready")


def test_three_replicas_that_start_at_once_have_one_authority(home: Home) -> None:
    for _ in range(3):
        home.begin()
    for replica in home.replicas:
        replica.process.wait_until(replica.ready, plimsoll.READY_WITHIN)
    with guarded(home):
        eventually(lambda: home.asks() == 201, TEN, "a review by all three")
    assert len(issue.split(home.secret(AUTHORITY)["ca-bundle.crt"])) == 1
    assert len({served(replica, home) for replica in home.replicas}) == 1


def test_who_does_not_hold_the_lease_writes_nothing_and_serves_what_the_holder_wrote(home: Home) -> None:
    spec = {"holderIdentity": "another", "leaseDurationSeconds": 3600, "renewTime": "2026-01-01T00:00:00.000000Z"}
    home.kubectl.patch("lease/plimsoll", {"spec": spec}).must()
    replica = home.launch()
    eventually(lambda: "the replica that holds the Lease does it" in replica.page("/readyz")[1], TEN)
    assert not home.secret(LEAF)
    ca = issue.authority(datetime.now(UTC))
    leaf = pair(home, ca)
    hold(home, ca, leaf)
    eventually(replica.ready, TEN, "ready")
    assert home.secret(LEAF)["tls.crt"] == leaf.certificate


def test_without_a_lease_it_says_so_and_goes_on_when_there_is_one(home: Home) -> None:
    home.kubectl("delete", "lease", "plimsoll").must()
    replica = home.launch()
    eventually(lambda: 'leases.coordination.k8s.io "plimsoll" not found' in replica.page("/readyz")[1], TEN)
    home.kubectl.create(*[placed(each, home.namespace) for each in documented() if each["kind"] == "Lease"]).must()
    eventually(replica.ready, TEN, "ready")


def served(replica: Replica, home: Home) -> bytes:
    """Return the certificate that a replica shows."""
    return ssl.get_server_certificate(("127.0.0.1", replica.port), timeout=5).encode()


@pytest.fixture
def three(home: Home) -> Iterator[Home]:
    """Three replicas that serve, and are called for each pod."""
    for _ in range(3):
        home.launch()
    for replica in home.replicas:
        eventually(replica.ready, TEN, "ready")
    with guarded(home):
        eventually(lambda: home.asks() == 201, TEN, "a review by all three")
        yield home
    assert no_key_in(home)


def settled(home: Home) -> bool:
    """Say whether a change is over: one authority in the bundle, and all replicas serve by it."""
    ca, leaf = home.secret(AUTHORITY), home.secret(LEAF)
    return (
        len(issue.split(ca["ca-bundle.crt"])) == 1
        and issue.issuer(leaf["tls.crt"], ca["ca.crt"]) is not None
        and all(issue.split(served(replica, home)) == issue.split(leaf["tls.crt"]) for replica in home.replicas)
    )


def test_certificate_and_authority_are_changed_five_times_under_load_without_a_failed_call(three: Home) -> None:
    with load(three):
        for _ in range(5):
            before = three.secret(LEAF)["tls.crt"], three.secret(AUTHORITY)["ca.crt"]
            three.renew(LEAF)
            assert three.secret(LEAF)["tls.crt"] != before[0]
            assert three.secret(AUTHORITY)["ca.crt"] == before[1]
            three.renew(AUTHORITY)
            eventually(lambda: settled(three), 60, "the end of a change")
            assert three.secret(AUTHORITY)["ca.crt"] != before[1]


def test_a_certificate_near_its_end_is_renewed_under_load(three: Home) -> None:
    held = three.secret(AUTHORITY)
    ca = KeyPair(held["ca.crt"], held["ca.key"])
    old = pair(three, ca, datetime.now(UTC) - 70 * DAY)
    with load(three):
        hold(three, ca, old)
        eventually(lambda: three.secret(LEAF)["tls.crt"] != old.certificate, TEN, "another certificate")
        eventually(lambda: settled(three), 30)
    assert three.secret(AUTHORITY)["ca.crt"] == ca.certificate


@pytest.mark.parametrize("values", [{}, GARBAGE], ids=["emptied", "garbled"])
@pytest.mark.parametrize("several", [(LEAF,), (AUTHORITY,), (LEAF, AUTHORITY)], ids=["leaf", "authority", "both"])
def test_secrets_that_are_emptied_or_garbled_under_load_fail_no_call(
    three: Home, several: tuple[str, ...], values: dict[str, bytes]
) -> None:
    with load(three):
        for name in several:
            three.write(name, values)
        eventually(lambda: issue.split(three.secret(LEAF).get("tls.crt", b"")), TEN, "a certificate again")
        eventually(lambda: issue.split(three.secret(AUTHORITY).get("ca.crt", b"")), TEN, "an authority again")
        eventually(lambda: settled(three), 60, "the end of a change")


def test_secrets_that_are_deleted_under_load_fail_no_call(three: Home) -> None:
    with load(three) as statuses:
        for name in (LEAF, AUTHORITY):
            three.kubectl("delete", "secret", name).must()
        count = len(statuses)
        eventually(lambda: len(statuses) > count + 50, what="calls without a Secret")
        assert all(replica.ready() for replica in three.replicas)
        for name in (LEAF, AUTHORITY):
            three.kubectl("create", "secret", "generic", name).must()
        eventually(lambda: three.secret(LEAF).get("tls.crt"), TEN, "a certificate again")
        eventually(lambda: settled(three), 60, "the end of a change")


@pytest.mark.parametrize("minutes", [-10, 10])
def test_an_issuer_whose_clock_is_ten_minutes_off_is_served_and_verified(home: Home, minutes: int) -> None:
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    ca = issue.authority(now, 365)
    leaf = pair(home, ca, now)
    hold(home, ca, leaf)
    replica = home.launch()
    eventually(replica.ready, TEN, "ready")
    with guarded(home, ca.certificate):
        eventually(lambda: home.asks() == 201, TEN, "a review")
    assert home.secret(LEAF)["tls.crt"] == leaf.certificate, "it is served as it was issued"


def test_what_is_kept_is_told_in_figures(home: Home) -> None:
    replica = home.launch()
    eventually(replica.ready, TEN, "ready")
    left = 'plimsoll_authority_expiry_seconds{secret="plimsoll-tls-ca"} 3.15'  # ten years
    eventually(lambda: left in replica.page("/metrics")[1], TEN, "time left")
    told = replica.page("/metrics")[1]
    assert "plimsoll_certificate_check_failed 0" in told
    assert 'plimsoll_certificate_renewals_total{result="done",step="leaf"} 1' in told
    assert 'plimsoll_certificate_renewals_total{result="failed",step="leaf"} 0' in told
    assert "plimsoll_certificate_expiry_seconds 77" in told, "90 days"


def no_key_in(home: Home) -> bool:
    """Say whether no replica wrote a private key into its log."""
    secrets = [home.secret(LEAF).get("tls.key", b""), home.secret(AUTHORITY).get("ca.key", b"")]
    lines = [line.decode() for key in secrets for line in key.splitlines() if line and not line.startswith(b"-----")]
    words = ["PRIVATE KEY", "LS0tLS1", *lines]
    logs = [replica.process.log.read_text() for replica in home.replicas]
    return not any(word in log for word in words for log in logs)
