"""A thread that is held, as by a call that does not return. The caller is its tracer: see ptrace(2).

    (thread,) = other_threads(pid)
    with held(thread):
        ...
"""

import contextlib
import ctypes
import os

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # threads that are no children, too
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def other_threads(pid):
    """Those beside the one that began."""
    return [thread for thread in map(int, os.listdir(f"/proc/{pid}/task")) if thread != pid]


@contextlib.contextmanager
def held(thread):
    """Until the end of the block, or of its process: wait_for_end() then, or nobody hears of that."""
    _ptrace(PTRACE_SEIZE, thread)
    _ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WALL)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _ptrace(PTRACE_DETACH, thread)


def wait_for_end(thread):
    os.waitpid(thread, WALL)
