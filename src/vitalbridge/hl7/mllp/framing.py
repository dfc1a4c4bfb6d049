"""The minimal lower layer protocol's frames, without input or output.

A frame is ``<VT> content <FS><CR>`` (HL7 v2 Transport Specification: MLLP, Release 1). What the
framer does where the specification leaves the receiver alone:

* FS that CR does not follow is content.
* Bytes outside a frame (NUL, line feeds, a message whose start block is missing) are skipped up to
  the next VT and counted as stray.
* VT followed by ``MSH`` inside a frame starts a new frame and the unfinished one is dropped: VT is
  no legal content, and joining the two would give one patient's message the segments of another.
  The dropped one was never acknowledged, so its sender still has it. Any other VT is content.
* Content longer than the limit is counted but not kept, except its head.

The frames do not depend on how the bytes were cut into chunks, and each byte is looked at a fixed
number of times.
"""

from __future__ import annotations

from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c\r"
HEAD_SIZE: Final = 65536
"""Bytes kept of a message that is longer than the limit: enough for its MSH."""

MISSING_START: Final = "missing_start_block"
UNFINISHED: Final = "unfinished"
EMPTY: Final = "empty"

_VT: Final = 0x0B
_CR: Final = 0x0D
_FS: Final = b"\x1c"
_RESTART: Final = b"\x0bMSH"


def frame(payload: bytes) -> bytes:
    """``payload`` between start and end block."""
    return b"\x0b%b\x1c\r" % payload


class Framer:
    """Cuts a byte stream into the contents of its frames.

    Give it what arrived with :meth:`feed`, then call :meth:`take` until it returns None. What was
    fed but not yet taken stays inside, so a reader that wants to stop simply stops taking.
    ``oversize`` describes the frame that was taken last: None, or its full size in bytes when it
    exceeded ``max_size`` and only the head was returned. ``stray`` and ``errors`` grow until
    :meth:`report` hands them over.
    """

    __slots__ = (
        "_data",
        "_discarded",
        "_head",
        "_head_size",
        "_max_size",
        "_partial",
        "_position",
        "_searched",
        "_tail",
        "errors",
        "oversize",
        "stray",
    )

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._head_size = min(HEAD_SIZE, max_size)
        self._data = b""
        self._position = 0
        self._partial: bytearray | None = None
        self._searched = 0
        self._head: bytes | None = None
        self._discarded = 0
        self._tail = b""
        self.oversize: int | None = None
        self.stray = 0
        self.errors: list[str] = []

    @property
    def waiting(self) -> bool:
        """Whether fed bytes have not been looked at yet."""
        return self._position < len(self._data)

    @property
    def begun(self) -> int:
        """Bytes received of a frame that has no end yet; 0 when none is open."""
        if self._partial is not None:
            return len(self._partial) + 1
        if self._head is not None:
            return self._discarded + len(self._tail) + 1
        return 0

    def report(self) -> tuple[int, list[str]]:
        """Stray bytes and errors since the last report; several unfinished frames in one piece of
        input may count as one."""
        counted = self.stray, self.errors
        self.stray = 0
        self.errors = []
        return counted

    def feed(self, data: bytes) -> None:
        """Append what arrived."""
        if self._position < len(self._data):
            data = self._data[self._position :] + data
        self._data = data
        self._position = 0

    def take(self) -> bytes | None:
        """The content of the next complete frame, None when more bytes are needed."""
        while True:
            if self._partial is not None:
                content = self._continue_partial()
            elif self._head is not None:
                content = self._continue_discarding()
            else:
                content = self._next_in_data()
            if content is None:
                if self._position < len(self._data):
                    continue
                self._data = b""
                self._position = 0
                return None
            if content:
                return content
            self.errors.append(EMPTY)

    def _next_in_data(self) -> bytes | None:
        data = self._data
        begin = self._position
        size = len(data)
        if begin == size:
            return None
        if data[begin] != _VT:
            start = data.find(START, begin)
            if start < 0:
                start = size
            self._skip(data, begin, start)
            if start == size:
                self._position = size
                return None
            begin = start
        begin += 1
        # A search for one byte is far faster than for two, and FS is rare in content.
        end = data.find(_FS, begin)
        if end >= 0 and end + 1 < size and data[end + 1] != _CR:
            end = data.find(END, end + 1)
        if end < 0 or end + 1 == size:
            self._position = size
            self._partial = bytearray(memoryview(data)[begin:])
            self._searched = max(0, size - begin - 1)
            self._limit_partial()
            return None
        self._position = end + 2
        return self._finish(data[begin:end])

    def _continue_partial(self) -> bytes | None:
        partial = self._partial
        assert partial is not None
        before = len(partial)
        partial += memoryview(self._data)[self._position :]
        end = partial.find(_FS, self._searched)
        if end >= 0 and end + 1 < len(partial) and partial[end + 1] != _CR:
            end = partial.find(END, end + 1)
        if end < 0 or end + 1 == len(partial):
            self._position = len(self._data)
            self._searched = max(0, len(partial) - 1)
            self._limit_partial()
            return None
        self._position += end + 2 - before
        self._partial = None
        with memoryview(partial) as view:
            return self._finish(bytes(view[:end]))

    def _finish(self, content: bytes) -> bytes:
        if START in content:
            restart = content.rfind(_RESTART)
            if restart >= 0:
                self.errors.append(UNFINISHED)
                content = content[restart + 1 :]
        if len(content) > self._max_size:
            self.oversize = len(content)
            return content[: self._head_size]
        self.oversize = None
        return content

    def _limit_partial(self) -> None:
        """Stop keeping the open frame once it is certain that it is too long."""
        partial = self._partial
        assert partial is not None
        if len(partial) - partial.endswith(_FS) <= self._max_size:
            return
        restart = partial.rfind(_RESTART)
        if restart >= 0:
            self.errors.append(UNFINISHED)
            del partial[: restart + 1]
            self._searched = max(0, len(partial) - 1)
            if len(partial) - partial.endswith(_FS) <= self._max_size:
                return
        kept = _open_mark(bytes(partial[-3:]))
        self._head = bytes(partial[: self._head_size])
        self._discarded = len(partial) - kept
        self._tail = bytes(partial[len(partial) - kept :])
        self._partial = None

    def _continue_discarding(self) -> bytes | None:
        # What this puts into _data is the unread rest of it, so the position starts anew.
        data = self._tail + self._data[self._position :]
        self._data = data
        end = data.find(END)
        restart = data.find(_RESTART, 0, end if end >= 0 else len(data))
        head = self._head
        assert head is not None
        if restart >= 0:
            self.errors.append(UNFINISHED)
            self._position = restart
        elif end >= 0:
            self.oversize = self._discarded + end
            self._position = end + 2
        else:
            kept = _open_mark(data[-3:])
            self._discarded += len(data) - kept
            self._tail = data[len(data) - kept :]
            self._position = len(data)
            return None
        self._head = None
        self._discarded = 0
        self._tail = b""
        return head if restart < 0 else None

    def _skip(self, data: bytes, begin: int, end: int) -> None:
        self.stray += end - begin
        if data.find(_FS, begin, end) >= 0:
            self.errors.append(MISSING_START)


def _open_mark(last: bytes) -> int:
    """How many of the last bytes may be the beginning of an end block or of a restart."""
    if last.endswith(_FS):
        return 1
    for length in (3, 2, 1):
        if len(last) >= length and last.endswith(_RESTART[:length]):
            return length
    return 0
