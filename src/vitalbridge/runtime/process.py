"""The process as the operating system and its service manager see it. Imports almost nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from enum import IntEnum

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_LONGEST_NAME = 15


class ExitCode(IntEnum):
    """How a command ends. 78 is EX_CONFIG of sysexits.h: restarting doesn't help."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 78


def ignore_hangup() -> None:
    """Ignore SIGHUP, so that a reload that comes before the service is ready doesn't kill it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def set_name(name: str) -> None:
    """Make ``name`` what ``ps -o comm`` and ``pgrep`` see: at most 15 bytes (prctl(2)).

    Raises OSError, and ValueError for a longer name. Call it on the main thread.
    """
    encoded = name.encode()
    if len(encoded) > _LONGEST_NAME:
        raise ValueError(f"process name longer than {_LONGEST_NAME} bytes: {name}")
    _prctl(_PR_SET_NAME, ctypes.c_char_p(encoded))


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process a signal when its parent ends, even by kill -9."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number))
    if os.getppid() != parent:  # it ended before the request took effect
        signal.raise_signal(number)


def notify(state: str) -> bool:
    """Tell the service manager (sd_notify(3)): ``READY=1``, ``STOPPING=1``, ``STATUS=...``.

    Returns whether there is one; raises OSError when it can't be told.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.sendto(state.encode(), address)
    return True


def notify_reloading() -> bool:
    """Tell the service manager that a reload began; ``notify("READY=1")`` ends it."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return notify(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")


def _prctl(option: int, argument: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
