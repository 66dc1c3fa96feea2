"""`python clock.py DAYS serve ...`: the command `plimsoll`, whose server is handed a clock so many days ahead.

libfaketime would do without this, but the absolute sleeps of Python 3.11 fail under it.
"""

from __future__ import annotations

import sys
from datetime import timedelta


def main(days: int, arguments: list[str]) -> int:
    """Run the command with the clock, which the service takes as an argument; all else is as it is."""
    from webhook import service
    from webhook.main import main as plimsoll

    now, ahead = service.utc_now, timedelta(days=days)
    defaults = service.Service.__init__.__kwdefaults__
    assert defaults is not None
    assert defaults["clock"] is now, "the service takes its clock by another name"
    defaults["clock"] = lambda: now() + ahead
    return plimsoll(arguments)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
