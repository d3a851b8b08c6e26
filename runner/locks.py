"""Locks between processes, held by the kernel: whoever dies lets go of its own.

On systems without POSIX record locks there are none, and every process believes that it is alone.
"""

from __future__ import annotations

import os
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
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place, os.SEEK_SET)
    except (BlockingIOError, PermissionError):
        return False
    return True


def share(file: int, place: int) -> bool:
    """Take one place together with others; False if a process has it for itself."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, place, os.SEEK_SET)
    except (BlockingIOError, PermissionError):
        return False
    return True


def release(file: int, place: int) -> None:
    """Let go of a place."""
    if sys.platform != "win32":
        fcntl.lockf(file, fcntl.LOCK_UN, 1, place, os.SEEK_SET)
