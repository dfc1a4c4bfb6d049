from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import PersonName

from vitalbridge.hl7 import XCN, XPN, Message
from vitalbridge.translate.names import person_name, put_name

if TYPE_CHECKING:
    from vitalbridge.dicom.attributes import Changes


def pn(text: str) -> str:
    warnings: list[str] = []
    value = person_name([XPN.parse(part) for part in text.split("~")], "PID-5", warnings)
    assert warnings == []
    return value


@pytest.mark.parametrize(
    ("xpn", "expected"),
    [
        ("DOE^JOHN^ANDREW", "DOE^JOHN^ANDREW"),
        ("DOE^JOHN^ANDREW^JR^MR^MD", "DOE^JOHN^ANDREW^MR^JR"),
        ("DOE", "DOE"),
        ("DOE^^^III", "DOE^^^^III"),
        ("^JOHN", "^JOHN"),
        ("van Beethoven&van&Beethoven^Ludwig", "van Beethoven^Ludwig"),
        ("O'BRIEN-SMITH^MARY ANN", "O'BRIEN-SMITH^MARY ANN"),
        (r"A\S\B^C=D^E\E\F", "A B^C D^E/F"),
        ("DOE^JO\x00HN", "DOE^JO HN"),
        ('DOE^""^X', "DOE^^X"),
        ("", ""),
        ("^^^^^^S", ""),
        # Representations become component groups.
        (
            "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        ("山田^太郎^^^^^L^I~Yamada^Tarou^^^^^L^A", "Yamada^Tarou=山田^太郎"),
        ("山田^太郎^^^^^L^I", "=山田^太郎"),
        ("Hong^Gildong~홍^길동^^^^^L^I", "Hong^Gildong=홍^길동"),
        ("やまだ^たろう^^^^^^P", "==やまだ^たろう"),
        # Of several names of one representation the legal one counts, else the first.
        ("SMITH^JANE^^^^^M~DOE^JANE^^^^^L", "DOE^JANE"),
        ("DOE^JANE^^^^^L~SMITH^JANE^^^^^M", "DOE^JANE"),
        ("ALIAS^X^^^^^A~NICK^Y^^^^^N", "ALIAS^X"),
        ("^^^^^^S~DOE^JOHN", "DOE^JOHN"),
    ],
)
def test_xpn_becomes_pn(xpn: str, expected: str) -> None:
    assert pn(xpn) == expected


def test_name_of_xcn_skips_the_id() -> None:
    xcn = XCN.parse("1234^SMITH^ROBERT^J^MD")
    assert person_name([xcn], "ORC-12", []) == "SMITH^ROBERT^J^^MD"


def test_only_the_first_of_several_persons_counts() -> None:
    several = [XCN.parse("1^SMITH^ROBERT"), XCN.parse("2^JONES^ANN^^^^^^^L^^^^^I")]
    assert person_name(several, "ORC-12", []) == "SMITH^ROBERT"


def test_one_person_in_two_representations_is_one_name() -> None:
    both = [
        XCN.parse("1^Yamada^Tarou^^^^^^^L^^^^^A"),
        XCN.parse("1^山田^太郎^^^^^^^L^^^^^I"),
    ]
    assert person_name(both, "ORC-12", []) == "Yamada^Tarou=山田^太郎"


def test_a_long_group_is_cut_with_a_warning() -> None:
    warnings: list[str] = []
    value = person_name([XPN.parse("F" * 60 + "^GIVEN")], "PID-5", warnings)
    assert value == "F" * 60 + "^GIV"
    assert warnings == ["PID-5: name cut to 64 characters"]


def test_each_group_has_its_own_64_characters() -> None:
    names = [XPN.parse("A" * 60 + "^B^^^^^L^A"), XPN.parse("C" * 60 + "^D^^^^^L^I")]
    warnings: list[str] = []
    assert person_name(names, "PID-5", warnings) == "A" * 60 + "^B=" + "C" * 60 + "^D"
    assert warnings == []


@pytest.mark.parametrize(
    ("field", "expected"),
    [("", {}), ('""', {"PatientName": None}), ("DOE^J", {"PatientName": "DOE^J"}), ("^^", {})],
)
def test_three_states(field: str, expected: dict[str, str | None]) -> None:
    raw = rf"MSH|^~\&|A|B|C|D|2023||ADT^A08|1|P|2.5.1{chr(13)}PID|||1||{field}"
    pid = Message(raw.encode()).segment("PID")
    assert pid is not None
    changes: Changes = {}
    put_name(changes, "PatientName", pid, 5, XPN, [])
    assert changes == expected


@given(st.lists(st.text(max_size=80), min_size=5, max_size=5))
def test_every_name_is_a_legal_pn(parts: list[str]) -> None:
    name = XPN(*parts)
    value = person_name([name], "PID-5", [])
    assert "\\" not in value
    assert "=" not in value
    assert value.count("^") <= 4
    assert len(value) <= 64
    assert not any(ord(c) < 32 for c in value)
    assert str(PersonName(value)) == value
