"""The framer gives the same messages however the bytes are cut."""

from __future__ import annotations

import itertools
import sys
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vitalbridge.hl7.mllp.framing import (
    EMPTY,
    HEAD_SIZE,
    MISSING_START,
    UNFINISHED,
    Framer,
    frame,
)

LIMIT = 24


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(marks) if b > a]


def read(chunks: list[bytes], limit: int = LIMIT) -> tuple[list[tuple[bytes, int | None]], Framer]:
    framer = Framer(limit)
    taken = []
    for chunk in chunks:
        framer.feed(chunk)
        while (content := framer.take()) is not None:
            taken.append((content, framer.oversize))
        assert not framer.waiting
    return taken, framer


def by_definition(data: bytes, limit: int) -> list[tuple[bytes, int | None]]:
    """The module's rules, written down on the whole stream instead of chunk by chunk."""
    out: list[tuple[bytes, int | None]] = []
    at = 0
    while (start := data.find(b"\x0b", at)) >= 0:
        end = data.find(b"\x1c\r", start + 1)
        if end < 0:
            break
        content = data[start + 1 : end]
        if b"\x0bMSH" in content:
            content = b"MSH" + content.rsplit(b"\x0bMSH", 1)[1]
        if len(content) > limit:
            out.append((content[:limit], len(content)))
        elif content:
            out.append((content, None))
        at = end + 2
    return out


pieces = st.one_of(
    st.sampled_from(
        [b"\x0b", b"\x1c", b"\r", b"\x1c\r", b"\x0bM", b"\x0bMS", b"\x0bMSH|", b"MSH", b"\n", b"\0"]
    ),
    st.binary(max_size=40),
    st.binary(max_size=40).map(frame),
    st.sampled_from([frame(b"MSH|" + b"x" * size) for size in (0, 19, 20, 21, 60)]),
)


@given(st.lists(pieces, max_size=12).map(b"".join), st.lists(st.integers(0, 500), max_size=12))
@example(b"\x0b" + b"x" * 25 + b"\x0bMSH|a\x1c\r", [27, 28, 29])
@example(b"\x0bMSH|" + b"x" * 60 + b"\x1c\r" + frame(b"MSH|next"), [30, 66])
def test_any_cut_gives_the_same_messages(data: bytes, places: list[int]) -> None:
    expected = by_definition(data, LIMIT)
    assert read(cut(data, places))[0] == expected
    assert read([bytes((byte,)) for byte in data])[0] == expected


@given(st.lists(pieces, max_size=8).map(b"".join), st.lists(st.integers(0, 500), max_size=8))
def test_any_cut_gives_the_same_findings(data: bytes, places: list[int]) -> None:
    whole = read([data])[1]
    parts = read(cut(data, places))[1]
    assert parts.stray == whole.stray
    assert parts.errors.count(EMPTY) == whole.errors.count(EMPTY)
    assert parts.begun == whole.begun


def test_packed_frames_with_noise_between_them() -> None:
    taken, framer = read([frame(b"one") + b"\n\0\r\n" + frame(b"two") + b"\x1c" + frame(b"three")])
    assert taken == [(b"one", None), (b"two", None), (b"three", None)]
    assert framer.report() == (5, [MISSING_START])
    assert framer.report() == (0, [])


def test_a_file_separator_alone_is_content() -> None:
    assert read([frame(b"a\x1cb\x1c\x1c")])[0] == [(b"a\x1cb\x1c\x1c", None)]


def test_a_message_without_start_block_is_skipped() -> None:
    taken, framer = read([b"MSH|lost\x1c\r" + frame(b"MSH|kept")])
    assert taken == [(b"MSH|kept", None)]
    assert framer.report() == (10, [MISSING_START])


@pytest.mark.parametrize("before", [b"MSH|a\r", b"MSH|a\rPID|1||4", b"MSH|a\x1c", b""])
def test_a_new_start_block_drops_the_unfinished_frame(before: bytes) -> None:
    taken, framer = read([b"\x0b" + before + frame(b"MSH|b\r")])
    assert taken == [(b"MSH|b\r", None)]
    assert framer.errors == [UNFINISHED]


def test_a_vertical_tab_in_text_is_content() -> None:
    assert read([frame(b"MSH|a\x0bb")])[0] == [(b"MSH|a\x0bb", None)]


def test_empty_frames_are_counted_only() -> None:
    taken, framer = read([frame(b"") + frame(b"") + frame(b"x")])
    assert taken == [(b"x", None)]
    assert framer.errors == [EMPTY, EMPTY]


def test_an_oversize_frame_keeps_its_head_and_size_only() -> None:
    limit = 200_000
    framer = Framer(limit)
    framer.feed(b"\x0bMSH|")
    for _ in range(1000):
        framer.feed(b"x" * 10_000)
        assert framer.take() is None
        assert framer.begun <= 10_000_005
    assert framer.begun == 10_000_005
    framer.feed(b"\x1c\r" + frame(b"next"))
    assert framer.take() == b"MSH|" + b"x" * (HEAD_SIZE - 4)
    assert framer.oversize == 10_000_004
    assert framer.take() == b"next"
    assert framer.oversize is None


def test_a_frame_of_exactly_the_limit_is_whole() -> None:
    assert read([frame(b"x" * LIMIT)])[0] == [(b"x" * LIMIT, None)]
    assert read([frame(b"x" * (LIMIT + 1))])[0] == [(b"x" * LIMIT, LIMIT + 1)]


def test_nothing_is_kept_between_frames() -> None:
    framer = Framer(10_000_000)
    for at in range(0, 5_000_000, 50_000):
        framer.feed((b"\x0b" if at == 0 else b"") + b"x" * 50_000)
        assert framer.take() is None
    framer.feed(b"\x1c\r")
    taken = framer.take()
    assert taken is not None
    assert len(taken) == 5_000_000
    assert framer.take() is None
    assert all(sys.getsizeof(getattr(framer, name)) < 100 for name in Framer.__slots__)


def test_untaken_frames_wait() -> None:
    framer = Framer(LIMIT)
    framer.feed(frame(b"a") + frame(b"b"))
    assert framer.take() == b"a"
    assert framer.waiting
    framer.feed(frame(b"c"))
    assert [framer.take(), framer.take(), framer.take()] == [b"b", b"c", None]
    assert not framer.waiting


@pytest.mark.parametrize("filling", [b"x", b"\x1c", b"\x0b", b"\x0bMSH", b"\r"])
def test_twenty_megabytes_cost_well_under_a_second(filling: bytes) -> None:
    data = b"\x0bMSH|" + filling * (20_000_000 // len(filling)) + b"\x1c\r"
    framer = Framer(32_000_000)
    begin = time.perf_counter()
    taken = 0
    for at in range(0, len(data), 65536):
        framer.feed(data[at : at + 65536])
        while framer.take() is not None:
            taken += 1
    assert taken == 1
    assert time.perf_counter() - begin < 2
