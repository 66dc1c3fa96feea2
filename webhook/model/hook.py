"""The preStop hook of a container, and how long it waits.

Source: k8s.io/api core/v1, Lifecycle and LifecycleHandler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.model.pods import Container, listing, mapping

_SHELLS = ("sh", "bash", "ash", "dash")


def stop(container: Container) -> Mapping[str, Any]:
    """Return the preStop hook of a container; empty where there is none, or one that does nothing."""
    hook = mapping(mapping(container.spec.get("lifecycle")).get("preStop"))
    # tcpSocket is kept for old manifests, and never run (k8s.io/api core/v1, LifecycleHandler)
    return hook if any(isinstance(hook.get(key), dict) for key in ("exec", "httpGet", "sleep")) else mapping(None)


def sleep(hook: Mapping[str, Any]) -> int | None:
    """Return how many seconds a hook sleeps at least; None where that cannot be known."""
    if isinstance(hook.get("sleep"), dict):
        seconds = hook["sleep"].get("seconds")
        return seconds if isinstance(seconds, int) and not isinstance(seconds, bool) else None
    words = [str(word) for word in listing(mapping(hook.get("exec")).get("command"))]
    if len(words) > 2 and words[0].rpartition("/")[2] in _SHELLS and words[1] in ("-c", "-ec", "-xc"):
        words = words[2].replace(";", " ; ").replace("&", " & ").split()
    in_background = words[2:3] == ["&"] and words[3:4] != ["&"]  # waits for nothing, other than `sleep 5 && quit`
    if len(words) < 2 or words[0].rpartition("/")[2] != "sleep" or in_background:
        return None
    number = words[1].removesuffix("s").removesuffix("m")
    factor = 60 if words[1].endswith("m") else 1
    return int(number) * factor if number.isascii() and number.isdigit() and len(number) < 6 else None
