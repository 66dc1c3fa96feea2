"""Start a program that ends when its parent ends, however that comes about.

`python tether.py PARENT PROGRAM ARGUMENT...` asks the kernel for SIGKILL at the parent's death (prctl(2),
PR_SET_PDEATHSIG; kept by execve(2)) and becomes the program, so the process id stays that of this process.
A file of its own and not `preexec_fn`, which is unsafe once the parent has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent ended before the program started")
os.execv(sys.argv[2], sys.argv[2:])
