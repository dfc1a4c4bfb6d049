"""The log: one JSON object or one line of text per event, to a file and to standard output.

It is the standard library's ``logging`` underneath: ``logging.getLogger("hl7.gateway")``, extra
fields by ``extra={"message_type": "ADT^A01"}``. Levels are trace, debug, info, warn, error, fatal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
import time
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import orjson

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from types import TracebackType

TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
FIELDS = (
    "message_type",
    "message_id",
    "source",
    "processing_time_ms",
    "trace_id",
    "error_type",
    "error_code",
)
"""Names of ``extra`` that come first, in this order; whatever else was given follows."""

Format = Literal["json", "text"]
_INODE_CHECK = 1.0
_LONGEST_TEXT = 16_384
_ENTRY = "_formatted_entry"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | frozenset(
    f"message asctime taskName timestamp level logger location exception traceback {_ENTRY}".split()
)
_NAMES = {number: name for name, number in LEVELS.items()}


def level_name(number: int) -> str:
    """Return the lower-case name of a level; of one in between, the next lower one's."""
    name = _NAMES.get(number)
    if name is not None:
        return name
    return max((known, name) for known, name in _NAMES.items() if known <= max(number, TRACE))[1]


class _Once(logging.Formatter, ABC):
    """Formats a record once, however many handlers write it."""

    def __init__(self, *, source_location: bool = False) -> None:
        super().__init__()
        self._location = source_location

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry of a record on one line, without the line break."""
        made: tuple[object, str] | None = record.__dict__.get(_ENTRY)
        if made is not None and made[0] is self:
            return made[1]
        entry = self._entry(record)
        record.__dict__[_ENTRY] = (self, entry)
        return entry

    @abstractmethod
    def _entry(self, record: logging.LogRecord) -> str: ...


class JsonFormatter(_Once):
    """Compact JSON: ``{"timestamp":"...Z","level":"error","logger":"hl7.gateway",...}``."""

    def _entry(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "timestamp": _timestamp(record.created),
            "level": level_name(record.levelno),
            "logger": record.name,
            "message": _text(record),
        }
        entry.update(_fields(record))
        if self._location:
            entry["location"] = f"{record.filename}:{record.lineno}"
        if record.exc_info:
            entry.update(_exception(record.exc_info))
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(_Once):
    """``TIMESTAMP LEVEL LOGGER: message key=value ...``."""

    def _entry(self, record: logging.LogRecord) -> str:
        parts = [
            f"{_timestamp(record.created)} {level_name(record.levelno):5} {record.name}:",
            _text(record).replace("\n", "\\n").replace("\r", "\\r"),
        ]
        fields = _fields(record)
        if self._location:
            fields["location"] = f"{record.filename}:{record.lineno}"
        if record.exc_info:
            fields.update(_exception(record.exc_info))
        parts.extend(f"{name}={_one_line(value)}" for name, value in fields.items())
        return " ".join(parts)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    values = record.__dict__
    fields = {name: _plain(values[name]) for name in FIELDS if values.get(name) is not None}
    for name, value in values.items():
        if value is not None and name not in _STANDARD and name not in fields:
            fields[name] = _plain(value)
    return fields


def _timestamp(created: float) -> str:
    whole = int(created)
    return f"{_second(whole)}.{int((created - whole) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def _text(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + "..."
    # A lone surrogate comes from undecodable file names; JSON can't carry it.
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    return str(value)


def _one_line(value: Any) -> str:
    text = str(value)
    plain = text and not any(char in text for char in ' "=\n\r\t')
    return text if plain else orjson.dumps(text).decode()


def _exception(
    info: tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None]
    | bool,
) -> Mapping[str, str]:
    """Return the kind of the exception and where it came from, without its text.

    What an exception says may quote a message; the places in the code can't.
    """
    if not isinstance(info, tuple) or info[0] is None:
        return {}
    places = []
    trace = info[2]
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_qualname}")
        trace = trace.tb_next
    return {"exception": info[0].__qualname__, "traceback": " > ".join(places[-12:])}


class LogFile(logging.Handler):
    """A file that is rotated here or by others.

    It is opened anew by :meth:`reopen`, and within a second after somebody moved or removed it.
    With ``max_bytes`` above 0 it is rotated to ``FILE.1`` ... ``FILE.N`` before it would grow
    beyond.
    """

    def __init__(self, path: str, *, max_bytes: int = 0, max_files: int = 0) -> None:
        """Open ``path`` for appending, mode 640; raises OSError."""
        super().__init__()
        self._path = os.path.abspath(path)
        self._max_bytes = max_bytes if max_files > 0 else 0
        self._max_files = max_files
        self._descriptor = -1
        self._size = 0
        self._identity = (0, 0)
        self._checked = 0.0
        self.lost = 0
        self._open()

    @property
    def path(self) -> str:
        """The absolute path."""
        return self._path

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record. What can't be written is counted in ``lost`` and said on stderr."""
        try:
            line = self.format(record).encode() + b"\n"
            now = time.monotonic()
            if now - self._checked >= _INODE_CHECK:
                self._checked = now
                # While there is no new file to open, entries go on into the old one.
                with contextlib.suppress(OSError):
                    self._follow()
            if self._max_bytes and self._size and self._size + len(line) > self._max_bytes:
                self._rotate()
            self._write(line)
        except Exception:
            self.lost += 1
            self.handleError(record)

    def reopen(self) -> None:
        """Open the file anew under its name; raises OSError and then keeps the old one."""
        with self._guard():
            self._open()

    def close(self) -> None:
        """Close the file."""
        with self._guard():
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        super().close()

    def _guard(self) -> threading.RLock:
        if self.lock is None:
            self.createLock()
        lock: Any = self.lock
        return lock  # type: ignore[no-any-return]

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o640)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        status = os.fstat(descriptor)
        self._descriptor = descriptor
        self._identity = (status.st_dev, status.st_ino)
        self._size = status.st_size if stat.S_ISREG(status.st_mode) else 0

    def _follow(self) -> None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._open()
            return
        if (status.st_dev, status.st_ino) != self._identity:
            self._open()
        else:
            self._size = status.st_size if stat.S_ISREG(status.st_mode) else 0

    def _write(self, line: bytes) -> None:
        view = memoryview(line)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]

    def _rotate(self) -> None:
        for number in range(self._max_files - 1, 0, -1):
            older = f"{self._path}.{number}"
            if os.path.exists(older):
                os.replace(older, f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")
        self._open()


class Logs:
    """The handlers that :func:`start_logs` installed."""

    def __init__(self, handlers: list[logging.Handler], file: LogFile | None) -> None:
        self._handlers = handlers
        self.file = file

    def reopen(self) -> None:
        """Open the log file anew (SIGUSR1); raises OSError and then goes on with the old one."""
        if self.file is not None:
            self.file.reopen()

    def change(self, *, level: str, format: Format, source_location: bool = False) -> None:
        """Take over another level and form from now on."""
        formatter = _formatter(format, source_location=source_location)
        for handler in self._handlers:
            handler.setFormatter(formatter)
        logging.getLogger().setLevel(LEVELS[level])

    def stop(self) -> None:
        """Remove and close the handlers."""
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()


def start_logs(
    *,
    level: str = "info",
    format: Format = "json",
    file: str | None = None,
    max_file_size_mb: int = 0,
    max_files: int = 0,
    source_location: bool = False,
    stream: TextIO | None = None,
) -> Logs:
    """Send everything logged to ``stream`` (standard output) and to ``file``, if given.

    ``max_file_size_mb`` (MiB) and ``max_files`` rotate the file; 0 for either leaves that to
    others. Raises OSError when the file can't be opened.
    """
    logging.addLevelName(TRACE, "TRACE")
    handlers: list[logging.Handler] = [logging.StreamHandler(stream or sys.stdout)]
    log_file = None
    if file is not None:
        log_file = LogFile(file, max_bytes=max_file_size_mb * 1024 * 1024, max_files=max_files)
        handlers.append(log_file)
    root = logging.getLogger()
    logs = Logs(handlers, log_file)
    logs.change(level=level, format=format, source_location=source_location)
    for handler in handlers:
        root.addHandler(handler)
    # Libraries that log per request or per byte have nothing to say to an operator below a warning.
    for name in ("uvicorn", "asyncio", "pynetdicom", "pydicom", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return logs


def _formatter(format: Format, *, source_location: bool) -> logging.Formatter:
    if format == "json":
        return JsonFormatter(source_location=source_location)
    return TextFormatter(source_location=source_location)
