"""A worker sets memory aside at its start, so that a busy moment later takes none of the system."""

import subprocess
import sys

import pytest

PROCESS = """
import resource, sys, threading
import orjson
from webhook.web import heap

def faults(who=resource.RUSAGE_SELF):
    return resource.getrusage(who).ru_minflt
"""

BUSY = """

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


LARGE = """
body = orjson.dumps({"text": "x" * int(sys.argv[1])})
heap.share()
heap.reserve()
for _ in range(10):
    orjson.loads(body)
before = faults()
for _ in range(10):
    orjson.loads(body)
print(faults() - before)
"""

FRAMES = """
def down(frames):
    if frames:
        down(frames - 1)

def run():
    if sys.argv[1] == "deepens":
        heap.deepen()
    before = faults(resource.RUSAGE_THREAD)
    down(40)
    found.append(faults(resource.RUSAGE_THREAD) - before)

found = []
for _ in range(4):
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
print(sum(found[1:]))  # of the first one's, what is code
"""


def faults(code: str, argument: str) -> int:
    """Return how many pages a process touches for the first time in what it prints that number for."""
    done = subprocess.run([sys.executable, "-c", PROCESS + code, argument], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_a_busy_moment_takes_its_pages_of_what_was_set_aside() -> None:
    assert faults(BUSY, "reserves") <= 20
    assert faults(BUSY, "does not") >= 100


@pytest.mark.parametrize("size", [82_000, 130_000, 300_000])
def test_one_large_body_after_the_other_is_read_on_the_same_pages(size: int) -> None:
    # orjson asks for twelve times a body to read it, and gives that back
    assert faults(LARGE, str(size)) <= 10


def test_a_thread_that_went_deep_takes_no_page_of_frames_later() -> None:
    assert faults(FRAMES, "deepens") == 0
    assert faults(FRAMES, "does not") >= 3
