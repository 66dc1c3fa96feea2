"""One writer among the replicas: who holds the Lease may write, and lets it go when it can't renew it.

As client-go's leader election does it: nobody's clock is believed. A holder is gone when its Lease has not changed
for as long as it says (`leaseDurationSeconds`), counted on our own clock from when we saw the last change.
kubernetes.io/docs/concepts/architecture/leases, pkg.go.dev/k8s.io/client-go/tools/leaderelection
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from webhook.kube.client import ApiError, Client

LOG = logging.getLogger(__name__)
DURATION = 15.0
"""Seconds after which a holder that says nothing counts as gone."""
RENEWED = 10.0
"""Seconds for which who renewed it last may write: others wait longer, so that there are never two."""
EVERY = 2.0
CALL = 5.0


class Lease:
    """A Lease of our own namespace, which somebody else made (the chart). Threads may ask whether it is held."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take part as `identity`, a name that no other replica has (the pod's)."""
        self._client = client
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        self._identity = identity
        self._clock = clock
        self._now = now
        self._seen: tuple[Any, float] = (None, clock())
        self._until = float("-inf")
        self._said = ""

    def held(self) -> bool:
        """Say whether we may write now."""
        return self._clock() < self._until

    @property
    def problem(self) -> str:
        """What kept us from asking for it the last time, empty where nothing did."""
        return self._said

    def run(self, stop: threading.Event) -> None:
        """Take part until `stop` is set, then let go, so that another doesn't have to wait."""
        ended = stop.is_set()
        while not ended:
            self.attempt()
            ended = stop.wait(EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - so that replicas don't come together
        self.release()

    def attempt(self) -> bool:
        """Take it or renew it, if that can be done now; say whether we hold it."""
        asked = self._clock()
        try:
            found = self._client.get(self._path, CALL)
            spec = found.get("spec") or {}
            if not self._free(spec, str((found.get("metadata") or {}).get("resourceVersion"))):
                if self.held():  # somebody took it, whoever that was: two writers are worse than none
                    LOG.warning("another took the lease: %s now writes", spec.get("holderIdentity"))
                self._until = float("-inf")
                self._said = ""
                return False
            self._client.call("PUT", self._path, CALL, {**found, "spec": self._ours(spec)})
        except ApiError as error:
            if error.status != 409:
                self._say(f"the lease can't be had: {error}")
            return self.held()
        if not self.held():
            LOG.info("this replica now writes for all (holds the lease)")
        self._said = ""
        self._until = asked + RENEWED
        return self.held()

    def release(self) -> None:
        """Let go of it, if we hold it."""
        if not self.held():
            return
        self._until = float("-inf")
        try:
            found = self._client.get(self._path, CALL)
            spec = found.get("spec") or {}
            if spec.get("holderIdentity") == self._identity:
                freed = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._time()}
                self._client.call("PUT", self._path, CALL, {**found, "spec": freed})
        except ApiError as error:
            LOG.info("the lease could not be let go, and ends by itself: %s", error)

    def _free(self, spec: dict[str, Any], version: str) -> bool:
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self._identity):
            return True
        if self._seen[0] != version:
            self._seen = (version, self._clock())
        return self._clock() - self._seen[1] > float(spec.get("leaseDurationSeconds") or DURATION)

    def _ours(self, spec: dict[str, Any]) -> dict[str, Any]:
        if spec.get("holderIdentity") == self._identity:
            return {**spec, "renewTime": self._time(), "leaseDurationSeconds": int(DURATION)}
        changes = int(spec.get("leaseTransitions") or 0) + 1
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": self._time(),
            "renewTime": self._time(),
            "leaseTransitions": changes,
        }

    def _time(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _say(self, text: str) -> None:
        if text != self._said:  # once, and not every two seconds
            LOG.warning("%s", text)
            self._said = text
