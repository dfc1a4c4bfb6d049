from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.hl7 import NULL, Message
from vitalbridge.translate.text import clean, clean_lines, coded_text, cut, put_text, wrapped

if TYPE_CHECKING:
    from vitalbridge.dicom.attributes import Changes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" R\\L KNEE ", "R/L KNEE"),
        ("a\r\nb", "a b"),
        ("a\x1b(Bb", "a (Bb"),
        ("a\x85b", "a b"),
        ("a\ud800b", "a b"),
        ("全角　空白", "全角　空白"),
        ("", ""),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(st.text())
def test_clean_text_is_one_value(text: str) -> None:
    cleaned = clean(text)
    assert "\\" not in cleaned
    assert clean(cleaned) == cleaned
    cleaned.encode()


def test_lines() -> None:
    assert clean_lines("a \rb\r\nc\nd\\e\x00\n") == "a\r\nb\r\nc\r\nd\\e"


def test_cut_warns() -> None:
    warnings: list[str] = []
    assert cut("abc def", 4, "OBR-4", warnings) == "abc"
    assert cut("abc", 3, "OBR-4", warnings) == "abc"
    assert warnings == ["OBR-4: cut to 4 characters"]


@given(st.text(alphabet="ab ", max_size=200).map(str.strip), st.integers(3, 20))
def test_wrapped_text_loses_no_character_but_blanks(text: str, limit: int) -> None:
    values = wrapped(text, limit)
    assert all(0 < len(value) <= limit for value in values)
    assert "".join(values).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("C^Text^S", "Text"),
        ("C", "C"),
        ("^Text", "Text"),
        ("^^^A^Alternate", "Alternate"),
        ("^^^^^^^^Original", "Original"),
        ('C^""^S', "C"),
        ('""', NULL),
        ("", ""),
    ],
)
def test_coded_text(field: str, expected: str) -> None:
    raw = rf"MSH|^~\&|A|B|C|D|2023||ORM^O01|1|P|2.5.1{chr(13)}OBR|{field}"
    obr = Message(raw.encode()).segment("OBR")
    assert obr is not None
    assert coded_text(obr, 1) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", {}), (NULL, {"K": None}), ("x", {"K": "x"}), ("  ", {}), ("\x00", {})],
)
def test_three_states(text: str, expected: dict[str, str | None]) -> None:
    changes: Changes = {}
    put_text(changes, "K", text, 16, "OBR-4", [])
    assert changes == expected
