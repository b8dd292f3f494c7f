"""No process of ours goes on working after the one above it was killed."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_the_parent(number=signal.SIGKILL):
    """
    In a child, right after the fork: ask for this signal when the parent ends, however it ends.

    Linux knows how; elsewhere an orphan has to be stopped by hand, and the claims of deliveries keep it
    harmless.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
