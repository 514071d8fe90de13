"""Run by path, as ``python -I -S launch.py PARENT UID SIGNAL PROGRAM ARGUMENT...``: become PROGRAM, tied to the parent.

Between fork and exec Python code is unsafe in a process with threads, so this small program does what has to happen there:
give up root for UID (-1: stay who we are), ask the kernel for SIGNAL when the parent dies (kill -9 included), then exec.
The order matters: changing the user clears the death signal.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent, uid, signal_number = (int(text) for text in sys.argv[1:4])
    program = sys.argv[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        os.environ.update(HOME="/", USER="nobody", LOGNAME="nobody")
    os.umask(0o077)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal_number) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(0)  # the parent died before the kernel knew whom to tell
    os.execv(program[0], program)  # noqa: S606  no shell is wanted


main()
