"""A worker sets memory aside at its start, so that a busy moment later takes none of the system."""

import subprocess
import sys

BUSY = """
import resource, sys, threading
from webhook.web import heap

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def busy():
    # what several reviews have in hand: small values of Python's, and texts in C's heap
    return [str(number) * 20 for number in range(4_000)], [bytearray(16 * 1024) for _ in range(40)]

heap.share()
if sys.argv[1] == "reserves":
    heap.reserve()
before = faults()
busy()
print(faults() - before)
"""


def faults(mode: str) -> int:
    """Return how many pages a process touches for the first time in a busy moment."""
    done = subprocess.run([sys.executable, "-c", BUSY, mode], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_a_busy_moment_takes_its_pages_of_what_was_set_aside() -> None:
    assert faults("reserves") <= 20
    assert faults("does not") >= 100
