from __future__ import annotations

import io
import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from vitalbridge.runtime import logs as module
from vitalbridge.runtime.logs import TRACE, JsonFormatter, LogFile, Logs, level_name, start_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOGGER = logging.getLogger("hl7.gateway")


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[Logs, io.StringIO]]]:
    before = logging.getLogger().level
    running: list[Logs] = []

    def start(**options: Any) -> tuple[Logs, io.StringIO]:
        stream = io.StringIO()
        running.append(start_logs(stream=stream, **options))
        return running[-1], stream

    yield start
    for entry in running:
        entry.stop()
    logging.getLogger().setLevel(before)


def test_json_lines_are_compact(started: Callable[..., tuple[Logs, io.StringIO]]) -> None:
    _, stream = started()
    LOGGER.error(
        "rejected",
        extra={"message_type": "ADT^A01", "error_code": -900, "processing_time_ms": 1.5, "port": 7},
    )
    line = stream.getvalue()
    assert '"level":"error"' in line
    entry = json.loads(line)
    assert line == json.dumps(entry, separators=(",", ":")) + "\n"
    stamp = entry.pop("timestamp")
    assert len(stamp) == 24
    assert stamp[10] == "T"
    assert stamp[19] == "."
    assert stamp.endswith("Z")
    assert entry == {
        "level": "error",
        "logger": "hl7.gateway",
        "message": "rejected",
        "message_type": "ADT^A01",
        "processing_time_ms": 1.5,
        "error_code": -900,
        "port": 7,
    }


def test_the_error_code_is_found_by_grep(
    started: Callable[..., tuple[Logs, io.StringIO]],
) -> None:
    _, stream = started()
    LOGGER.error("x", extra={"error_code": -964})
    assert '"error_code":-964' in stream.getvalue()


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "trace"),
        (5, "trace"),
        (10, "debug"),
        (20, "info"),
        (25, "info"),
        (30, "warn"),
        (40, "error"),
        (50, "fatal"),
        (99, "fatal"),
    ],
)
def test_levels_have_short_lower_case_names(number: int, name: str) -> None:
    assert level_name(number) == name


def test_text_is_one_line_per_entry(started: Callable[..., tuple[Logs, io.StringIO]]) -> None:
    _, stream = started(format="text")
    LOGGER.warning("two\nlines", extra={"source": "A B", "error_type": "parse"})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.endswith('warn  hl7.gateway: two\\nlines source="A B" error_type=parse\n')


def test_levels_below_are_not_written_and_trace_can_be(
    started: Callable[..., tuple[Logs, io.StringIO]],
) -> None:
    running, stream = started(level="warn")
    LOGGER.info("no")
    assert stream.getvalue() == ""
    running.change(level="trace", format="json")
    LOGGER.log(TRACE, "yes")
    assert json.loads(stream.getvalue())["level"] == "trace"


def test_exceptions_show_where_and_not_what(
    started: Callable[..., tuple[Logs, io.StringIO]],
) -> None:
    _, stream = started()
    try:
        raise ValueError("DOE^JOHN")
    except ValueError:
        LOGGER.exception("failed")
    entry = json.loads(stream.getvalue())
    assert entry["exception"] == "ValueError"
    assert "test_logs.py" in entry["traceback"]
    assert "DOE" not in stream.getvalue()


def test_what_json_can_not_carry_is_written_escaped() -> None:
    # Not logged: what the test runner captures has to be text that can be encoded.
    extra = {"source": "\udc80", "value": object(), "big": 2**70}
    record = LOGGER.makeRecord("x", logging.INFO, __file__, 1, "file \udcff", (), None, extra=extra)
    entry = json.loads(JsonFormatter().format(record))
    assert entry["message"] == "file \\udcff"
    assert entry["source"] == "\\udc80"
    assert entry["big"] == str(2**70)


def test_source_location_is_added_on_request(
    started: Callable[..., tuple[Logs, io.StringIO]],
) -> None:
    _, stream = started(source_location=True)
    LOGGER.info("x")
    assert json.loads(stream.getvalue())["location"].startswith("test_logs.py:")


def test_file_and_stream_get_the_same(
    started: Callable[..., tuple[Logs, io.StringIO]], tmp_path: Path
) -> None:
    path = tmp_path / "bridge.log"
    _, stream = started(file=str(path))
    LOGGER.info("x")
    assert path.read_text() == stream.getvalue()
    assert path.stat().st_mode & 0o777 & ~0o640 == 0


def test_a_file_that_can_not_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        start_logs(file=str(tmp_path / "none" / "bridge.log"), stream=io.StringIO())


def test_reopen_after_logrotate(
    started: Callable[..., tuple[Logs, io.StringIO]], tmp_path: Path
) -> None:
    path = tmp_path / "bridge.log"
    running, _ = started(file=str(path))
    LOGGER.info("one")
    path.rename(tmp_path / "bridge.log.1")
    running.reopen()
    LOGGER.info("two")
    assert "one" in (tmp_path / "bridge.log.1").read_text()
    assert "two" in path.read_text()


def test_a_moved_file_is_noticed_without_a_signal(
    started: Callable[..., tuple[Logs, io.StringIO]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "bridge.log"
    started(file=str(path))
    LOGGER.info("one")
    path.rename(tmp_path / "bridge.log.1")
    monkeypatch.setattr(module, "_INODE_CHECK", 0.0)
    LOGGER.info("two")
    path.unlink()
    LOGGER.info("three")
    assert "three" in path.read_text()
    assert "two" not in (tmp_path / "bridge.log.1").read_text()


def test_a_failed_reopen_keeps_the_old_file(
    started: Callable[..., tuple[Logs, io.StringIO]], tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    running, _ = started(file=str(folder / "bridge.log"))
    folder.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        running.reopen()
    LOGGER.info("kept")
    assert "kept" in (tmp_path / "moved" / "bridge.log").read_text()


def _file(path: Path, **options: int) -> tuple[LogFile, Callable[[str], None]]:
    handler = LogFile(str(path), **options)

    def write(text: str) -> None:
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, text, None, None))

    return handler, write


def test_own_rotation_keeps_the_newest_files(tmp_path: Path) -> None:
    handler, write = _file(tmp_path / "a.log", max_bytes=20, max_files=2)
    for number in range(5):
        write(f"{number:015d}")
    handler.close()
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == {
        "a.log": f"{4:015d}\n",
        "a.log.1": f"{3:015d}\n",
        "a.log.2": f"{2:015d}\n",
    }


@pytest.mark.parametrize("options", [{"max_bytes": 0, "max_files": 5}, {"max_bytes": 20}])
def test_rotation_can_be_off(tmp_path: Path, options: dict[str, int]) -> None:
    handler, write = _file(tmp_path / "a.log", **options)
    for _ in range(10):
        write("x" * 15)
    handler.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_an_entry_larger_than_a_file_is_written_whole(tmp_path: Path) -> None:
    handler, write = _file(tmp_path / "a.log", max_bytes=10, max_files=1)
    write("y" * 50)
    write("z")
    handler.close()
    assert (tmp_path / "a.log").read_text() == "z\n"
    assert (tmp_path / "a.log.1").read_text() == "y" * 50 + "\n"


def test_many_threads_lose_and_mix_nothing(tmp_path: Path) -> None:
    handler, write = _file(tmp_path / "a.log", max_bytes=4000, max_files=1000)

    def many(name: int) -> None:
        for number in range(200):
            write(f"{name}:{number}")

    threads = [threading.Thread(target=many, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.close()
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name}:{n}" for name in range(4) for n in range(200))


def test_what_could_not_be_written_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler, write = _file(tmp_path / "a.log")
    os.close(handler._descriptor)
    handler._checked = float("inf")
    write("x")
    handler._descriptor = -1
    handler.close()
    assert handler.lost == 1
    assert "Bad file descriptor" in capsys.readouterr().err
