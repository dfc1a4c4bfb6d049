"""Character sets: strict both ways, with Python's codecs and pydicom as second opinions."""

from __future__ import annotations

import pydicom.charset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.hl7.charsets import (
    Charset,
    UnsupportedCharset,
    charset_of,
    charset_of_header,
    location_of,
)
from vitalbridge.hl7.errors import CharsetError

PARTS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "15")

# MSH-18 as repetitions -> text in it.
TEXTS = [
    (("ASCII",), "Smith^John"),
    (("8859/1",), "Grüße, señor Ørsted"),
    (("8859/2",), "Žižka Łódź"),
    (("8859/3",), "Ĥĝ Malti ħ"),
    (("8859/4",), "Ģirts Ķēniņš"),
    (("8859/5",), "Иванов^Пётр"),
    (("8859/6",), "محمد^علي"),
    (("8859/7",), "Παπαδόπουλος^Γιώργος"),
    (("8859/8",), "כהן^שרה"),
    (("8859/9",), "Şükrü^Iğdır"),
    (("8859/15",), "Œuvre à 5 €"),
    (("UNICODE UTF-8",), "Ω 山田 🏥 é"),
    (("GB 18030-2000",), "张三^李㐀🏥"),
    (("BIG-5",), "許功蓋^王小明"),
    (("KS X 1001",), "홍길동^김"),
    (("WINDOWS-1252",), "“Œuvre” – 5 €"),
    (("", "ISO IR87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (("ASCII", "ISO IR87", "ISO IR159"), "丂山髙﨑 ①㈱|丂"),
    (("ISO IR14",), "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    (("ISO IR14", "ISO IR87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (("ISO IR87",), "山田^太郎"),
    (("ISO IR159",), "丂丄"),
    (("ASCII", "KS X 1001"), "Hong^Gildong=洪^吉洞=홍^길동"),
    (("8859/1", "8859/5", "8859/7"), "é Ж|Ω~é"),
    (("ASCII", "8859/7", "8859/8", "8859/6"), "Ωש^م"),
]


@pytest.mark.parametrize(("names", "text"), TEXTS)
def test_round_trip(names: tuple[str, ...], text: str) -> None:
    charset = charset_of(names)
    message = f"MSH|^~\\&|A\rPID|1||{text}\rNTE|1||{text}\r"
    assert charset.decode(charset.encode(message)) == message


@pytest.mark.parametrize("part", PARTS)
def test_all_of_iso_8859(part: str) -> None:
    high = [bytes((code,)) for code in range(0xA0, 0x100)]
    charset = charset_of([f"8859/{part}"])
    for byte in high:
        try:
            expected = byte.decode(f"iso8859-{part}")
        except UnicodeDecodeError:
            with pytest.raises(CharsetError):
                charset.decode(byte)
            continue
        assert charset.decode(byte) == expected
        assert charset.encode(expected) == byte


@pytest.mark.parametrize("part", PARTS)
def test_iso_8859_does_not_assign_80_to_9f(part: str) -> None:
    """Such a byte is a Windows code page in disguise; U+0080-9F are not in the set either."""
    charset = charset_of([f"8859/{part}"])
    for code in range(0x80, 0xA0):
        with pytest.raises(CharsetError) as error:
            charset.decode(b"ab" + bytes((code,)))
        assert error.value.offset == 2
        with pytest.raises(CharsetError):
            charset.encode(chr(code))


@pytest.mark.parametrize(
    ("names", "codec", "characters"),
    [
        (("GB 18030-2000",), "gb18030", range(0x4E00, 0x9FA6)),
        (("BIG-5",), "big5", range(0x4E00, 0x9FA6)),
        (("KS X 1001",), "euc_kr", range(0xAC00, 0xD7A4)),
        (("", "ISO IR87"), "iso2022_jp", range(0x4E00, 0x9FA6)),
        (("ASCII", "ISO IR87", "ISO IR159"), "iso2022_jp_1", range(0x4E00, 0x9FA6)),
    ],
)
def test_every_ideograph_as_python_has_it(
    names: tuple[str, ...], codec: str, characters: range
) -> None:
    charset = charset_of(names)
    delimiters = 0
    for code in characters:
        character = chr(code)
        try:
            expected = character.encode(codec)
        except UnicodeEncodeError:
            continue
        if len(expected) == 8 and codec == "euc_kr":
            continue
        assert charset.decode(expected) == character
        assert charset.encode(character) == expected
        delimiters += any(byte in b"|^~\\&" for byte in expected)
    assert (delimiters > 100) == (not charset.ascii_compatible)


@pytest.mark.parametrize(
    ("terms", "names", "text"),
    [
        (["ISO 2022 IR 6", "ISO 2022 IR 87"], ("", "ISO IR87"), "Yamada^Tarou=山田^太郎"),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], ("ASCII", "KS X 1001"), "Hong=洪^吉洞=홍^길동"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], ("ISO IR14", "ISO IR87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
        (["ISO 2022 IR 100", "ISO 2022 IR 126"], ("8859/1", "8859/7"), "é^Ω"),
        (["ISO 2022 IR 6", "ISO 2022 IR 159"], ("ASCII", "ISO IR159"), "丂^丄"),
    ],
)
def test_pydicom_reads_our_escape_sequences(
    terms: list[str], names: tuple[str, ...], text: str
) -> None:
    codecs = pydicom.charset.convert_encodings(terms)
    written = charset_of(names).encode(text)
    assert pydicom.charset.decode_bytes(written, codecs, {0x5E, 0x3D}) == text
    assert charset_of(names).decode(pydicom.charset.encode_string(text, codecs)) == text


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("utf-8", "UNICODE UTF-8"),
        ("UTF8", "UNICODE UTF-8"),
        ("UNICODE", "UNICODE UTF-8"),
        (" UNICODE UTF-8 ", "UNICODE UTF-8"),
        ("8859-1", "8859/1"),
        ("ISO8859-1", "8859/1"),
        ("ISO-8859-15", "8859/15"),
        ("iso_8859/2", "8859/2"),
        ("ISO_IR 100", "8859/1"),
        ("ISO IR6", "ASCII"),
        ("US-ASCII", "ASCII"),
        ("ISO_IR 192", "UNICODE UTF-8"),
        ("ISO IR 87", "ISO IR87"),
        ("ISO 2022 IR 159", "ISO IR159"),
        ("ISO IR14", "ISO IR14"),
        ("GB18030", "GB 18030-2000"),
        ("GBK", "GB 18030-2000"),
        ("BIG5", "BIG-5"),
        ("KS_C_5601-1987", "KS X 1001"),
        ("EUC-KR", "KS X 1001"),
        ("cp1252", "WINDOWS-1252"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert charset_of([spelling]).name == name
    assert charset_of([""], spelling).name == name


@pytest.mark.parametrize(
    "names", [["UNICODE UTF-16"], ["UNICODE UTF-32"], ["CNS 11643-1992"], ["x"], ["ASCII", "x"]]
)
def test_unsupported(names: list[str]) -> None:
    with pytest.raises(UnsupportedCharset) as error:
        charset_of(names)
    assert (error.value.fault.code, error.value.fault.location) == (103, "MSH^1^18")
    assert names[0] not in str(error.value) or names[0] == "x"


def test_default() -> None:
    assert charset_of([]).names == ("ASCII",)
    assert charset_of(["", "ISO IR87"]).names == ("ASCII", "ISO IR87")
    assert charset_of([], "8859/1").names == ("8859/1",)
    assert charset_of(["", "8859/7"], "8859/1").names == ("8859/1", "8859/7")
    assert charset_of(["ASCII"], "8859/1").names == ("ASCII",)
    assert charset_of(["8859/1", "8859/1", ""]).names == ("8859/1",)
    assert charset_of(["ASCII", "UNICODE UTF-8"]).decode("é".encode()) == "é"
    with pytest.raises(CharsetError):
        charset_of([]).decode(b"\xe9")


@pytest.mark.parametrize(
    ("names", "safe"),
    [
        (("ASCII",), True),
        (("8859/5",), True),
        (("UNICODE UTF-8",), True),
        (("KS X 1001",), True),
        (("WINDOWS-1252",), True),
        (("GB 18030-2000",), False),
        (("BIG-5",), False),
        (("ISO IR14",), False),
        (("ISO IR87",), False),
        (("", "ISO IR87"), False),
        (("8859/1", "8859/5"), False),
    ],
)
def test_where_delimiters_may_be_searched_in_bytes(names: tuple[str, ...], safe: bool) -> None:
    assert charset_of(names).ascii_compatible is safe


def test_byte_order_mark_is_dropped() -> None:
    mark = b"\xef\xbb\xbf"
    charset = charset_of(["UTF-8"])
    assert charset.decode(mark + b"MSH") == "MSH"
    assert charset.decode(mark + "é".encode()) == "é"
    with pytest.raises(CharsetError) as error:
        charset.decode(mark + b"MSH|^~\\&|\xff")
    assert error.value.offset == 12
    assert error.value.fault.location == "MSH^1^3"


@pytest.mark.parametrize(
    ("names", "data", "offset"),
    [
        (("ASCII",), b"ab\xe9", 2),
        (("UNICODE UTF-8",), b"a\xe9b", 1),
        (("UNICODE UTF-8",), b"a\xed\xa0\x80", 1),
        (("UNICODE UTF-8",), b"\xc0\xbc", 0),
        (("8859/1",), b"\x93x\x94", 0),
        (("8859/7",), b"\xe1\xff", 1),
        (("GB 18030-2000",), b"\xff\xff", 0),
        (("BIG-5",), b"\xa4\xa4\xff\x20", 2),
        (("KS X 1001",), b"\xb0\xa1\xff\x41", 2),
        (("KS X 1001",), b"\x1b$)C\xb0\xa1\xff\xff", 6),
        (("", "ISO IR87"), b"a\x1b$B\x30\x21\x7e\x7e\x1b(B", 6),
        (("", "ISO IR87"), b"a\x1b$B\x30\x1b(B", 4),
        (("", "ISO IR87"), b"a\xe9", 1),
        (("", "ISO IR159"), b"\x1b$(D\x30\x21\x21\x21\x1b(B", 6),
        (("ISO IR14",), b"\xb1\xe0", 1),
        (("8859/1", "8859/7"), b"\xe9\x1b-F\xff", 4),
        # Escape sequences of sets that MSH-18 does not list, and no sequence at all.
        (("ASCII",), b"a\x1b$B0!", 1),
        (("UNICODE UTF-8",), "é\x1b$B0!".encode(), 2),
        (("8859/1",), b"\x1b-F\xd9", 0),
        (("KS X 1001",), b"\x1b$B0!\xb0\xa1", 0),
        (("", "ISO IR87"), b"ab\x1b$(D0!\x1b(B", 2),
        (("", "ISO IR87"), b"ab\x1bz", 2),
        (("", "ISO IR87"), b"ab\x1b", 2),
    ],
)
def test_bad_bytes(names: tuple[str, ...], data: bytes, offset: int) -> None:
    with pytest.raises(CharsetError) as error:
        charset_of(names).decode(data)
    assert error.value.offset == offset
    assert error.value.fault.code == 102
    assert error.value.fault.location == ""


@pytest.mark.parametrize("end", [b"", b"\r", b"\n", b"\rNTE|1||\x1b(B\r"])
@pytest.mark.parametrize("name", [b"\x1b$B0!", b"\x1b$B0!\x1b$(D0!", b"\x1b(I1"])
def test_a_segment_must_return_to_the_default_set(name: bytes, end: bytes) -> None:
    charset = charset_of(["ASCII", "ISO IR87", "ISO IR159", "ISO IR14"])
    message = b"MSH|^~\\&|A\rPID|1||7||" + name
    assert charset.decode(message + b"\x1b(B" + end.replace(b"\x1b(B", b"")).startswith("MSH")
    with pytest.raises(CharsetError) as error:
        charset.decode(message + end)
    assert error.value.offset == message.index(b"\x1b")
    assert error.value.fault.location == "PID^1^5"


def test_fields_after_a_set_that_is_not_left_are_not_swallowed() -> None:
    message = b"MSH|^~\\&|A\rPID|1||7||\x1b$B0!||19800101|M|\r"
    with pytest.raises(CharsetError) as error:
        charset_of(["", "ISO IR87"]).decode(message)
    assert error.value.fault.location.startswith("PID^1^")


def test_the_place_of_bad_bytes() -> None:
    message = b"MSH|^~\\&|A\rPID|1||x^^^\xff\rOBX|1|\rOBX|2|TX|a|\xfe\r"
    charset = charset_of([])
    with pytest.raises(CharsetError) as error:
        charset.decode(message)
    assert error.value.fault.location == "PID^1^3"
    with pytest.raises(CharsetError) as error:
        charset.decode(message.replace(b"\xff", b""))
    assert error.value.fault.location == "OBX^2^4"
    assert location_of(b"MSH|^~\\&|\xff", 9) == "MSH^1^3"
    assert location_of(b"MSH|^~\\&|A\r\xff\xff", 11) == ""


@pytest.mark.parametrize(
    ("names", "text", "offset"),
    [
        (("ASCII",), "aé", 1),
        (("8859/1",), "é€", 1),
        (("8859/15",), "¤", 0),
        (("BIG-5",), "許é", 1),
        (("KS X 1001",), "홍🏥", 1),
        (("UNICODE UTF-8",), "a\ud800", 1),
        (("", "ISO IR87"), "山é", 1),
        (("ISO IR14",), "ｱ¥", 1),
        (("8859/1", "8859/7"), "éΩЖ", 2),
    ],
)
def test_characters_that_do_not_fit(names: tuple[str, ...], text: str, offset: int) -> None:
    with pytest.raises(CharsetError) as error:
        charset_of(names).encode(text)
    assert error.value.offset == offset


def test_names_beyond_the_standard_sets() -> None:
    """What real names need: ETEN characters, rows 13 and 89-92 of JIS X 0208, code page 949."""
    big5, korean = charset_of(["BIG-5"]), charset_of(["KS X 1001"])
    japanese = charset_of(["", "ISO IR87"])
    assert big5.encode("李恒•碁") == b"\xa7\xf5\xf9\xda\xa1E\xf9\xd6"
    assert big5.decode(big5.encode("李恒•碁")) == "李恒•碁"
    assert japanese.decode(b"\x1b$B|b66\x1b(B") == "髙橋"
    assert japanese.encode("髙橋") == b"\x1b$B|b66\x1b(B"
    assert japanese.decode(b"\x1b$B-!-j\x1b(B") == "①㈱"
    assert korean.encode("똠") == "똠".encode("cp949")
    assert korean.decode(korean.encode("홍똠")) == "홍똠"


def test_shapes_of_iso_2022() -> None:
    japanese = charset_of(["", "ISO IR87", "ISO IR14"])
    assert japanese.decode(b"\x1b$@0!\x1b(Ja\x1b(I1\x1b(B1\x1b)I\xb1") == "亜aｱ1ｱ"
    assert japanese.decode(b"\x1b$B0! 0!\t0!\x1b(B") == "亜 亜\t亜"
    korean = charset_of(["KS X 1001"])
    assert korean.decode(b"\x1b$)C\xb0\xa1|\xb0\xa1\r\xb0\xa1") == "가|가\r가"
    assert charset_of(["ASCII", "KS X 1001"]).encode("가|가") == b"\x1b$)C\xb0\xa1|\x1b$)C\xb0\xa1"


@pytest.mark.parametrize(
    ("field", "codec", "name"),
    [
        ("BIG-5", "big5", "功許蓋"),
        ("GB 18030-2000", "gb18030", "亅亊傆"),
        ("~ISO IR87", "iso2022_jp", "幹、東京"),
        ("UNICODE UTF-8", "utf-8", "é"),
        ("8859/1~8859/7", "latin-1", "é"),
        ("", "ascii", "e"),
    ],
)
def test_character_set_of_a_header(field: str, codec: str, name: str) -> None:
    header = f"MSH|^~\\&|{name}|W|P|R|2025||ADT^A01|7|P|2.5||||||{field}|x".encode(codec)
    expected = charset_of(field.split("~"))
    assert charset_of_header(header).names == expected.names


def test_a_header_without_or_with_an_unknown_set() -> None:
    assert charset_of_header(b"MSH").names == ("ASCII",)
    assert charset_of_header(b"MSH|^~\\&|a\xe9", "8859/1").names == ("8859/1",)
    assert charset_of_header(b"MSH|^~\\&|a" + b"\xe9" * 100_000).names == ("ASCII",)
    with pytest.raises(UnsupportedCharset):
        charset_of_header(b"MSH|^~\\&|\xe9|||||||||||||||KLINGON")


def test_large_texts_cost_linear_time() -> None:
    text = "MSH|^~\\&|" + "山a" * 50_000
    for names in (("", "ISO IR87"), ("GB18030",), ("BIG-5",)):
        charset = charset_of(names)
        assert charset.decode(charset.encode(text)) == text
    filled = "ascii only " * 500_000 + "山"
    charset = charset_of(["", "ISO IR87"])
    assert charset.decode(charset.encode(filled)) == filled


ALL = [charset_of(names) for names, _ in TEXTS]


def read(charset: Charset, data: bytes) -> str | int:
    """The text, or the offset of the first bad byte."""
    try:
        return charset.decode(data)
    except CharsetError as error:
        return -1 if error.offset is None else error.offset


def write(charset: Charset, text: str) -> bytes | int:
    """The bytes, or the offset of the first character that does not fit."""
    try:
        return charset.encode(text)
    except CharsetError as error:
        return -1 if error.offset is None else error.offset


@given(st.sampled_from(ALL), st.binary(max_size=60) | st.text(max_size=20).map(str.encode))
def test_what_can_be_read_can_be_written(charset: Charset, data: bytes) -> None:
    text = read(charset, data)
    if isinstance(text, int):
        assert 0 <= text < len(data)
    else:
        assert charset.decode(charset.encode(text)) == text


@given(st.sampled_from(ALL), st.text(max_size=20))
def test_what_can_be_written_can_be_read(charset: Charset, text: str) -> None:
    data = write(charset, text)
    if isinstance(data, int):
        assert not text[data].isascii()
    elif "\x1b" not in text and not text.startswith("\ufeff"):
        assert charset.decode(data) == text
