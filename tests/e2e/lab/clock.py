"""`python clock.py DAYS serve ...`: the command `plimsoll`, whose server is handed a clock so many days ahead.

libfaketime would do without this, but the absolute sleeps of Python 3.11 fail under it.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import partial


def main(days: int, arguments: list[str]) -> int:
    """Run the command with the clock, which the service takes as an argument; all else is as it is."""
    from webhook import service
    from webhook.main import main as plimsoll

    assert "webhook.serving" not in sys.modules, "whoever makes the service has it already"
    now, made, later = service.utc_now, service.Service, timedelta(days=days)
    # before anybody imports it, since a class that is compiled cannot be changed
    service.Service = partial(made, clock=lambda: now() + later)  # type: ignore[assignment,misc]
    return plimsoll(arguments)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
