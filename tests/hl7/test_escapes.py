import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.hl7 import STANDARD, InvalidValue, charset_of, escape, parse_delimiters, unescape

UTF8 = charset_of(["UNICODE UTF-8"])
LATIN1 = charset_of(["8859/1"])


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("no escape", "no escape"),
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"\F\\F\\F\ ", "||| "),
        (r"\E\F\E\ ", "\\F\\ "),
        (r"\H\bold\N\ plain", "bold plain"),
        (r"one\.br\two\.sp\three\.sp2\four", "one\ntwo\nthree\n\nfour"),
        (r"\.in+2\a\.br\b\.in0\.br\c", "  a\n  b.br\\c"),
        (r"\.ti+3\a\.br\b", "   a\nb"),
        (r"a\.sk4\b", "a    b"),
        (r"\.nf\a\.fi\b\.ce\c", "ab\nc"),
        (r"\X41\ \X0D0A\ \X7c\ ", "A \r\n | "),
    ],
)
def test_sequences_become_plain_text(escaped: str, plain: str) -> None:
    assert unescape(escaped, STANDARD, UTF8) == plain


@pytest.mark.parametrize(
    "text",
    [
        "\\",
        "ends with \\",
        "\\\\server\\share",
        "C:\\temp\\images",
        "\\Q\\",
        "\\f\\",
        "\\P\\",
        "\\X4\\",
        "\\X4G\\",
        "\\X\\",
        "\\X41",
        "\\X 41\\",
        "\\.xx\\",
        "\\.sp999999\\",
        "\\.sp999\\",
        "\\.br2\\",
        "\\.\\",
        "\\C9999\\x",
        "\\Zlocal\\",
        "\\Z\\F",
    ],
)
def test_what_is_no_sequence_stays_as_it_was_written(text: str) -> None:
    assert unescape(text, STANDARD, UTF8) == text


def test_a_sequence_may_follow_text_that_is_none() -> None:
    assert unescape(r"C:\T\temp\F\x", STANDARD) == "C:&temp|x"
    assert unescape("\\Zlocal\\F\\", STANDARD) == "\\Zlocal\\F\\"
    assert unescape("\\\\F\\", STANDARD) == "\\|"


def test_bytes_are_in_the_message_s_character_set() -> None:
    assert unescape(r"Andr\XE9\ ", STANDARD, LATIN1) == "André "
    assert unescape(r"Andr\XC3A9\ ", STANDARD, UTF8) == "André "
    assert unescape(r"Andr\XC3\\XA9\ ", STANDARD, UTF8) == "André "
    assert unescape(r"Andr\XE9\ ", STANDARD, UTF8) == r"Andr\XE9\ "
    assert unescape(r"Andr\XE9\ ", STANDARD) == r"Andr\XE9\ "
    assert unescape(r"\X41\\XE9\\X42\\XZZ\ ", STANDARD, UTF8) == "A\\XE9\\B\\XZZ\\ "


def test_switching_the_character_set() -> None:
    # HL7 v2.5.1 2.7.2: ESC $ B is JIS X 0208, ESC ( B is ASCII again, ESC - L is Cyrillic.
    assert unescape(r"Yamada \M2442\;3ED\C2842\ Taro", STANDARD) == "Yamada 山田 Taro"
    cyrillic = "Иван".encode("iso8859-5").decode("latin-1")
    assert unescape(rf"\C2D4C\{cyrillic}\C2842\ é", STANDARD, LATIN1) == "Иван é"
    assert unescape(r"\M2442\odd\C2842\ ", STANDARD) == "odd "


def test_truncation_is_escaped_only_where_it_is_declared() -> None:
    delimiters = parse_delimiters("|", "^~\\&#")
    assert escape("#1", delimiters) == "\\P\\1"
    assert unescape("\\P\\1", delimiters) == "#1"
    assert escape("#1") == "#1"


def test_own_delimiters() -> None:
    delimiters = parse_delimiters("!", "$%*@")
    assert escape("a!b$c|d", delimiters) == "a*F*b*S*c|d"
    assert unescape("*F**S*\\F\\", delimiters) == "!$\\F\\"


def test_without_an_escape_character_delimiters_cannot_be_written() -> None:
    delimiters = parse_delimiters("|", "^~")
    assert escape("a&b\\c", delimiters) == "a&b\\c"
    assert unescape("\\F\\", delimiters) == "\\F\\"
    for text in ("a|b", "a^b", "a~b", "a\nb"):
        with pytest.raises(InvalidValue):
            escape(text, delimiters)


@given(st.text())
def test_what_is_escaped_reads_the_same(text: str) -> None:
    escaped = escape(text)
    assert not set("|^~&\r\n\x0b\x1b\x1c") & set(escaped)
    assert unescape(escaped, STANDARD, UTF8) == text


@given(st.text(alphabet="\\FSTREPHNXCMZ.0123456789AEspbrin+-\n|", max_size=60))
def test_nothing_makes_it_fail_and_text_without_sequences_is_kept(text: str) -> None:
    plain = unescape(text, STANDARD, UTF8)
    if text.count("\\") < 2:
        assert plain == text


@pytest.mark.parametrize("unit", ["\\XE9\\", "\\XZZ\\", "\\", "\\F\\", "\\.br\\", "\\C2D4C\\a"])
def test_time_is_linear_in_the_length(unit: str) -> None:
    def seconds(count: int) -> float:
        text = unit * count
        begin = time.process_time()
        unescape(text, STANDARD, UTF8)
        return time.process_time() - begin

    # Sixteen times the text may take a few times sixteen times as long, never 256 times.
    assert seconds(160_000) < 64 * (seconds(10_000) + 0.002)
