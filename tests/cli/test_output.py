from __future__ import annotations

import pytest

from vitalbridge.cli.output import moment, print_pairs, print_table, printable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain äß 漢", "plain äß 漢"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\r\nb", "a\\r\\nb"),
        ("\u202egnp", "\\u202egnp"),
        ("\udc80", "\\udc80"),
        (None, "-"),
        (True, "yes"),
        (("A", "B"), "A, B"),
        ({"CodeValue": "71260", "n": ["\x00"]}, "{CodeValue: 71260, n: \\x00}"),
        (7, "7"),
    ],
)
def test_nothing_printed_can_steer_a_terminal(value: object, text: str) -> None:
    assert printable(value) == text


def test_times() -> None:
    assert moment(1_765_368_000_123_456) == "2025-12-10T12:00:00.123Z"
    assert moment(None) is None


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG"), [("xyz", 1), (None, "y")])
    assert capsys.readouterr().out == "A    LONG\nxyz  1\n-    y\n"
    print_table(("A", "B"), [])
    assert capsys.readouterr().out == "A  B\n"
    print_pairs([("name", "x"), ("n", 2)])
    assert capsys.readouterr().out == "name  x\nn     2\n"
