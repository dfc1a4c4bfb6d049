"""Character sets against the standard's own examples, pydicom's files and pydicom's coder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings
from pydicom.charset import decode_bytes as pydicom_decode
from pydicom.data import get_charset_files
from pydicom.valuerep import PersonName

from vitalbridge.dicom import charsets
from vitalbridge.dicom.charsets import LATIN_1, UTF_8, UnknownCharacterSet, character_set

# DICOM PS3.5 H.3, I.2, J, K: (Specific Character Set, text, bytes).
STANDARD = [
    (
        "\\ISO 2022 IR 87",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J="
        b"\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
    ),
    (
        "\\ISO 2022 IR 149",
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    (
        "ISO_IR 192",
        "Wang^XiaoDong=王^小東=",
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
    ),
    ("GB18030", "Wang^XiaoDong=王^小东=", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab="),
    (
        "\\ISO 2022 IR 58",
        "Zhang^XiaoDong=张^小东=",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
    ),
    ("ISO_IR 100", "Äneas^Rüdiger", b"\xc4neas^R\xfcdiger"),
    ("ISO_IR 144", "Люкceмбypг", b"\xbb\xee\xdace\xdc\xd1yp\xd3"),
    ("ISO_IR 126", "Διονυσιος", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2"),
]


@pytest.mark.parametrize(("value", "text", "data"), STANDARD)
def test_the_standards_examples(value: str, text: str, data: bytes) -> None:
    charset = character_set(value)
    assert charset.encode(text) == data
    assert charset.decode(data) == text
    assert charset.value == value


NAME_FILES = sorted(
    Path(name) for name in get_charset_files() if name.endswith(".dcm") and "SQEnc" not in name
)


@pytest.mark.parametrize("path", NAME_FILES, ids=lambda path: path.stem)
def test_names_of_real_files(path: Path) -> None:
    file = pydicom.dcmread(path)
    terms = file.SpecificCharacterSet
    charset = character_set([terms] if isinstance(terms, str) else list(terms))
    raw = file.PatientName.original_string
    text = charset.decode(raw)
    assert text == str(file.PatientName)
    encodings = convert_encodings(list(charset.terms))
    assert str(PersonName(charset.encode(text), encodings)) == text


TEXTS = st.text(
    alphabet=st.one_of(
        st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"),
        st.sampled_from("山田太郎やまだたろうヤマダ一亜"),
    ),
    max_size=20,
)


@given(TEXTS)
def test_japanese_is_read_by_pydicom_as_it_was(text: str) -> None:
    charset = character_set("\\ISO 2022 IR 87")
    data = charset.encode(text)
    assert charset.decode(data) == text
    encodings = convert_encodings(["", "ISO 2022 IR 87"])
    assert pydicom_decode(data, encodings, set()) == text


@pytest.mark.parametrize(
    "value",
    [
        "ISO_IR 100",
        "ISO_IR 144",
        "ISO_IR 192",
        "GB18030",
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "\\ISO 2022 IR 149",
        "\\ISO 2022 IR 87\\ISO 2022 IR 159",
        "ISO 2022 IR 100\\ISO 2022 IR 144",
    ],
)
@given(text=st.text(max_size=40), data=st.binary(max_size=40))
def test_round_trip_of_what_fits_and_garbage(value: str, text: str, data: bytes) -> None:
    charset = character_set(value)
    # Controls and the characters that ISO-IR 14 draws differently are not text.
    text = "".join(c for c in text if c.isprintable() and c not in "\\^=~" and charset.fits(c))
    assert charset.decode(charset.encode(text)) == text
    with suppress(UnicodeDecodeError):
        assert len(charset.decode(data)) <= len(data)


@given(st.text(max_size=40))
def test_no_question_mark_ever(text: str) -> None:
    for value in ("", "ISO_IR 100", "\\ISO 2022 IR 87"):
        charset = character_set(value)
        data, lost = charset.encode_lossy(text)
        spelled = charset.decode(data) if "\x1b" not in text else ""
        assert spelled.count("?") <= text.count("?")
        assert lost == sum(not charset.fits(c) for c in text)


def test_transliteration_is_readable_and_keeps_the_structure() -> None:
    assert charsets.DEFAULT_REPERTOIRE.encode_lossy("Müller^Jürgen") == (b"Muller^Jurgen", 2)
    assert LATIN_1.encode_lossy("Łukasz^Ö") == (b"Lukasz^\xd6", 1)
    assert LATIN_1.encode_lossy("＾＼")[0] == b"__"


@pytest.mark.parametrize(
    ("value", "terms"),
    [
        ("", ()),
        ("ISO_IR 6", ("ISO_IR 6",)),
        ("iso_ir 100 ", ("ISO_IR 100",)),
        ("ISO-IR 100", ("ISO_IR 100",)),
        ("ISO IR 192", ("ISO_IR 192",)),
        ("UTF-8", ("ISO_IR 192",)),
        ("ISO_IR 100\\ISO 2022 IR 87", ("ISO 2022 IR 100", "ISO 2022 IR 87")),
        ("ISO 2022 IR 87", ("", "ISO 2022 IR 87")),
        ("ISO_IR 192\\ISO 2022 IR 87", ("ISO_IR 192",)),
        ("ISO 2022 IR 6\\ISO 2022 IR 149\x00", ("ISO 2022 IR 6", "ISO 2022 IR 149")),
    ],
)
def test_names_as_they_are_written(value: str, terms: tuple[str, ...]) -> None:
    assert character_set(value).terms == terms


@pytest.mark.parametrize("value", ["KLINGON", "ISO_IR 999", "ISO_IR 87", "\\" * 9, "X" * 100])
def test_unknown_names(value: str) -> None:
    with pytest.raises(UnknownCharacterSet):
        character_set(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNICODE UTF-8", "ISO_IR 192"),
        ("8859/1", "ISO_IR 100"),
        ("8859/5", "ISO_IR 144"),
        ("ISO IR14", "ISO_IR 13"),
        ("ISO IR87", "\\ISO 2022 IR 87"),
        ("KS X 1001", "\\ISO 2022 IR 149"),
        ("GB 18030-2000", "GB18030"),
        ("BIG-5", "ISO_IR 192"),
        ("ASCII", ""),
    ],
)
def test_of_hl7(name: str, value: str) -> None:
    assert charsets.of_hl7(name).value == value


def test_choice() -> None:
    japanese = character_set("\\ISO 2022 IR 87")
    assert charsets.choose(["DOE"], [UTF_8]) is charsets.DEFAULT_REPERTOIRE
    assert charsets.choose(["Müller"], [LATIN_1, UTF_8]) is LATIN_1
    assert charsets.choose(["山田"], [LATIN_1, UTF_8]) is UTF_8
    assert charsets.choose(["山田", "Müller"], [LATIN_1, japanese]) is japanese
    assert charsets.choose(["Łódź"], [LATIN_1, japanese]) is LATIN_1
