"""A disk that forgets: what was written and not synced is lost, or half lost, when the power goes.

:class:`Recording` is a SQLite file system layer (and stands behind ``os`` for the small files that
are written without SQLite). It writes down every write, truncation, rename, removal and sync in
their order. :class:`Disk` plays that record up to any moment and gives the files as the disk would
have them after a power cut at that moment: always what was synced, and of the rest nothing, or any
part, in sectors of 512 bytes.
"""

# ruff: noqa: N802 - these names are SQLite's

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    import pytest

SECTOR = 512
Files = dict[str, bytes]


class Event(NamedTuple):
    """One thing that happened: ``kind``, the file's name, and what belongs to the kind."""

    kind: str
    name: str = ""
    detail: Any = None
    data: bytes = b""


class _RecordedFile(apsw.VFSFile):
    def __init__(self, recording: Recording, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._recording = recording
        self._name = recording.name_of(path)
        if self._name and not os.path.exists(path):
            recording.note(Event("create", self._name))
        # SQLite's own layer syncs the directory with the first sync of these.
        logs = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
        self._directory_too = bool(flags[0] & logs)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._name:
            self._recording.note(Event("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        if self._name:
            self._recording.note(Event("truncate", self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        if self._name:
            self._recording.note(Event("sync", self._name))
            if self._directory_too:
                self._recording.note(Event("sync directory"))
                self._directory_too = False
        super().xSync(flags)


class Recording(apsw.VFS):
    """Writes down what happens to the files of one directory."""

    def __init__(self, name: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Event] = []
        self._directory = str(directory)
        self._lock = threading.Lock()
        self._descriptors: dict[int, str] = {}
        super().__init__(name, "unix")
        self._stand_behind_os(monkeypatch)

    def name_of(self, path: Any) -> str:
        """The name of a file of the recorded directory, else an empty string."""
        if path is None:
            return ""
        directory, name = os.path.split(os.fspath(path))
        recorded = directory == self._directory and not name.endswith((".lock", "-shm"))
        return name if recorded else ""

    def note(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _RecordedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.note(Event("unlink", self.name_of(filename)))
        if syncdir:
            self.note(Event("sync directory"))
        super().xDelete(filename, syncdir)

    def _stand_behind_os(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real_open, real_write, real_fsync = os.open, os.write, os.fsync
        real_close, real_replace, real_unlink = os.close, os.replace, os.unlink

        def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            name = "." if os.fspath(path) == self._directory else self.name_of(path)
            if name and flags & os.O_CREAT and not os.path.exists(path):
                self.note(Event("create", name))
            elif name and flags & os.O_TRUNC:
                self.note(Event("truncate", name, 0))
            descriptor = real_open(path, flags, *rest, **options)
            if name:
                self._descriptors[descriptor] = name
            return descriptor

        def written(descriptor: int, data: Any) -> int:
            name = self._descriptors.get(descriptor)
            if name is not None:
                at = os.lseek(descriptor, 0, os.SEEK_CUR)
                self.note(Event("write", name, at, bytes(data)))
            return real_write(descriptor, data)

        def synced(descriptor: int) -> None:
            name = self._descriptors.get(descriptor)
            if name is not None:
                self.note(Event("sync directory") if name == "." else Event("sync", name))
            real_fsync(descriptor)

        def closed(descriptor: int) -> None:
            self._descriptors.pop(descriptor, None)
            real_close(descriptor)

        def replaced(source: Any, target: Any, **options: Any) -> None:
            if self.name_of(source):
                self.note(Event("rename", self.name_of(source), self.name_of(target)))
            real_replace(source, target, **options)

        def unlinked(path: Any, **options: Any) -> None:
            if self.name_of(path):
                self.note(Event("unlink", self.name_of(path)))
            real_unlink(path, **options)

        for name, function in (
            ("open", opened),
            ("write", written),
            ("fsync", synced),
            ("close", closed),
            ("replace", replaced),
            ("unlink", unlinked),
        ):
            monkeypatch.setattr(os, name, function)


class Disk:
    """The files of a directory, as programs see them and as they are on the platter."""

    def __init__(self, files: Files) -> None:
        self._seen = {name: number for number, name in enumerate(files)}
        self._entries = dict(self._seen)
        self._unsynced_entries: list[Event] = []
        self._contents = {self._seen[name]: bytearray(data) for name, data in files.items()}
        self._unsynced: dict[int, list[Event]] = {}
        self._numbers = {"next": len(files)}

    def play(self, event: Event) -> None:
        """Let one event happen."""
        if event.kind == "create":
            number = self._numbers["next"]
            self._numbers["next"] += 1
            self._contents[number] = bytearray()
            self._change_entries(Event("create", event.name, number))
        elif event.kind in {"rename", "unlink"}:
            self._change_entries(event)
        elif event.kind in {"write", "truncate"}:
            self._unsynced.setdefault(self._seen[event.name], []).append(event)
        elif event.kind == "sync":
            number = self._seen[event.name]
            for write in self._unsynced.pop(number, ()):
                _apply(self._contents[number], write)
        elif event.kind == "sync directory":
            for change in self._unsynced_entries:
                _apply_entry(self._entries, change)
            self._unsynced_entries.clear()

    def _change_entries(self, event: Event) -> None:
        self._unsynced_entries.append(event)
        _apply_entry(self._seen, event)

    def after_power_cut(self, random: Random, *, torn: bool) -> Files:
        """The files as they are found afterwards; ``torn``: parts of what was not synced, too."""
        entries = dict(self._entries)
        if torn:
            for event in self._unsynced_entries[: random.randint(0, len(self._unsynced_entries))]:
                _apply_entry(entries, event)
        survival = random.random()
        files = {}
        for name, number in entries.items():
            content = self._contents[number]
            unsynced = self._unsynced.get(number, [])
            if torn and unsynced:
                content = bytearray(content)
                for event in unsynced:
                    _apply_part(content, event, random, survival)
            files[name] = bytes(content)
        return files


def _apply_entry(entries: dict[str, int], event: Event) -> None:
    if event.kind == "create":
        entries[event.name] = event.detail
    elif event.kind == "unlink":
        entries.pop(event.name, None)
    elif event.name in entries:
        entries[event.detail] = entries.pop(event.name)


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del content[event.detail :]
        return
    if len(content) < event.detail:
        content.extend(bytes(event.detail - len(content)))
    content[event.detail : event.detail + len(event.data)] = event.data


def _apply_part(content: bytearray, event: Event, random: Random, survival: float) -> None:
    """Some sectors of a write reached the platter, others did not."""
    if event.kind == "truncate":
        if random.random() < survival:
            _apply(content, event)
        return
    start, end = event.detail, event.detail + len(event.data)
    at = start
    while at < end:
        following = min(end, (at // SECTOR + 1) * SECTOR)
        if random.random() < survival:
            _apply(
                content, Event("write", event.name, at, event.data[at - start : following - start])
            )
        at = following
