"""Locks between processes, held by the kernel: whoever dies lets go of its own.

On systems without POSIX record locks there are none, and every process believes that it is alone.
"""

from __future__ import annotations

import os
import struct
import sys

if sys.platform != "win32":
    import fcntl


def only(file: int) -> bool:
    """Whether this process is now the only one that holds a file that is open for writing."""
    return claim(file, 0)


def claim(file: int, place: int) -> bool:
    """Take one place of a file, which need not be that long; False if another process has it.

    Places of one file cost nothing until they are taken, so a number can stand for anything: a key, for one.
    """
    if sys.platform == "win32":
        return True
    return _taken(file, place, fcntl.F_WRLCK)


def share(file: int, place: int) -> bool:
    """Take one place together with others; False if a process has it for itself."""
    if sys.platform == "win32":
        return True
    return _taken(file, place, fcntl.F_RDLCK)


def release(file: int, place: int) -> None:
    """Let go of a place."""
    if sys.platform != "win32":
        _taken(file, place, fcntl.F_UNLCK)


def _taken(file: int, place: int, how: int) -> bool:
    """Lock one byte, or unlock it. Where the system can, the lock is the open file's and not the process's: two runs
    of one program exclude each other, too, and closing another file of that name lets go of nothing.
    """
    try:
        if hasattr(fcntl, "F_OFD_SETLK"):
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("@hhqqi0q", how, os.SEEK_SET, place, 1, 0))
        else:
            word = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_UNLCK: fcntl.LOCK_UN}[how]
            fcntl.lockf(file, word | fcntl.LOCK_NB, 1, place, os.SEEK_SET)
    except (BlockingIOError, PermissionError):
        return False
    return True
