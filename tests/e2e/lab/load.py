"""A steady load of dry-run creates through the API server, each with the answer that is expected."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from lab.controlplane import ControlPlane
from lab.kubectl import Object
from lab.rest import Reply, Rest

Judge = Callable[[Reply], str]
"""Returns '' for the answer that is expected, else what is wrong with it."""


@dataclass(slots=True)
class Load:
    """Sends `objects` one after the other, `rate` a second over `threads` connections, as long as its context lasts."""

    plane: ControlPlane
    path: str
    objects: list[tuple[Object, Judge]]
    rate: float = 30.0
    threads: int = 4
    sent: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Load:
        for number in range(self.threads):
            thread = threading.Thread(target=self._send, args=(number,), daemon=True)
            thread.start()
            self._running.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(60)

    def _send(self, number: int) -> None:
        turn = number
        with Rest(self.plane, f"load-{number}") as rest:
            begun = time.monotonic()
            for count in range(1, 10**9):
                if self._stop.wait(max(0.0, begun + count * self.threads / self.rate - time.monotonic())):
                    return
                obj, judge = self.objects[turn % len(self.objects)]
                turn += self.threads + 1
                reply = rest.dry("POST", self.path, obj)
                said = judge(reply)
                with self._lock:
                    self.sent[str(reply.status)] += 1
                    if said:
                        moment = time.strftime("%H:%M:%S")
                        self.wrong.append(f"{moment} {obj['kind']}/{obj['metadata']['name']}: {said}")


def allowed(reply: Reply) -> str:
    """Expect that an object is let in."""
    return "" if reply.status == 201 else f"{reply.status} {reply.body.get('message')}"


def denied(*rules: str) -> Judge:
    """Expect that an object is refused, for these rules."""

    def judge(reply: Reply) -> str:
        message = str(reply.body.get("message"))
        if reply.status == 403 and all(rule in message for rule in rules):
            return ""
        return f"{reply.status} {message}; wanted a refusal by {', '.join(rules)}"

    return judge
