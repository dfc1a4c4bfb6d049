import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.hl7 import (
    CWE,
    CX,
    EI,
    HD,
    PL,
    STANDARD,
    TQ,
    XAD,
    XCN,
    XPN,
    XTN,
    Composite,
    InvalidValue,
    charset_of,
    parse_delimiters,
)

KINDS: list[type[Composite]] = [HD, EI, CX, XPN, XCN, CWE, XAD, XTN, PL, TQ]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (HD, "HOSP^1.2.3^ISO", HD("HOSP", "1.2.3", "ISO")),
        (EI, "P1^RIS", EI("P1", "RIS")),
        (
            CX,
            "123^4^M11^HOSP&1.2&ISO^MR^FAC",
            CX("123", "4", "M11", HD("HOSP", "1.2", "ISO"), "MR", HD("FAC")),
        ),
        (CX, "123^^^HOSP", CX("123", assigning_authority=HD("HOSP"))),
        (CX, '""', CX('""')),
        (
            XPN,
            "VON BERG&VON&BERG^ANNA^M^JR^DR^MD^L^A",
            XPN(*["VON BERG", "ANNA", "M", "JR", "DR", "MD", "L", "A"]),
        ),
        (
            XCN,
            "77^MEYER&x^EVA^^^DR^^^HOSP&1.2&ISO^L^^^NPI^^A",
            XCN(
                "77",
                "MEYER",
                "EVA",
                prefix="DR",
                assigning_authority=HD("HOSP", "1.2", "ISO"),
                name_type="L",
                identifier_type="NPI",
                representation="A",
            ),
        ),
        (
            CWE,
            "CT1^Head & neck^LN^X^Y & Z^99L^^^as said & meant",
            CWE("CT1", "Head & neck", "LN", "X", "Y & Z", "99L", "as said & meant"),
        ),
        (
            XAD,
            "1 Main St&Main&1^Apt 2^Town^ST^123^DE^H",
            XAD("1 Main St", "Apt 2", "Town", "ST", "123", "DE", "H"),
        ),
        (
            XTN,
            "^PRN^PH^a@b.c^49^30^123^9^call & wait^^^+49 30 123",
            XTN("", "PRN", "PH", "a@b.c", "49", "30", "123", "9", "call & wait", "+49 30 123"),
        ),
        (
            PL,
            "W1&x^R2^B3^HOSP&1.2&ISO^O^C^Bld^4^by the door",
            PL("W1", "R2", "B3", HD("HOSP", "1.2", "ISO"), "O", "C", "Bld", "4", "by the door"),
        ),
        (
            TQ,
            "1&mg^Q1H&x^D3^20231115^20231116^S^ignored",
            TQ("1", "Q1H", "D3", "20231115", "20231116", "S"),
        ),
    ],
)
def test_reading(kind: type[Composite], text: str, value: Composite) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize("kind", KINDS)
def test_an_absent_value_and_one_of_too_many_components(kind: type[Composite]) -> None:
    assert kind.parse("") == kind()
    assert kind.parse("^" * 60) == kind()


def test_escapes_are_read_at_every_level() -> None:
    latin1 = charset_of(["8859/1"])
    text = r"1\T\2^^^H\S\&1\F\2&ISO^\XE9\ "
    assert CX.parse(text, STANDARD, latin1) == CX(
        "1&2", assigning_authority=HD("H^", "1|2", "ISO"), identifier_type="é "
    )


def test_other_delimiters() -> None:
    delimiters = parse_delimiters("!", "$%*@")
    assert CX.parse("1^2$$$A@B@C$*S*", delimiters) == CX(
        "1^2", assigning_authority=HD("A", "B", "C"), identifier_type="$"
    )
    only_components = parse_delimiters("|", "^")
    assert CX.parse("1^^^A&B^\\S\\", only_components) == CX(
        "1", assigning_authority=HD("A&B"), identifier_type="\\S\\"
    )


@pytest.mark.parametrize(
    ("identifier", "canonical"),
    [
        (EI(), ""),
        (EI("P1"), "P1"),
        (EI("P1", "RIS"), "P1^RIS"),
        (EI("P1", "", "1.2.3", "ISO"), "P1^^1.2.3^ISO"),
        (EI("P1", "", "", "ISO"), "P1^^^ISO"),
        (EI("P^1", "RIS"), "P\\S\\1^RIS"),
        (EI("P^1"), "P\\S\\1"),
    ],
)
def test_canonical_identifier(identifier: EI, canonical: str) -> None:
    assert identifier.canonical == canonical


def test_writing_leaves_out_the_empty_end() -> None:
    assert CX("1", identifier_type="MR").write() == "1^^^^MR"
    assert CX("1", assigning_authority=HD("A&B", "1.2", "ISO")).write() == r"1^^^A\T\B&1.2&ISO"
    assert XCN("1", identifier_type="NPI").write() == "1^^^^^^^^^^^^NPI"
    assert CX().write() == ""
    with pytest.raises(InvalidValue):
        CX("1", "2").write(parse_delimiters("|", "\\").inner)


VALUES = st.text(alphabet='ab1 é|^~\\&\r\n"', max_size=6)


@given(st.data(), st.sampled_from(KINDS))
def test_what_is_written_reads_the_same(data: st.DataObject, kind: type[Composite]) -> None:
    def value(kind: type[Composite]) -> Composite:
        composites = dict(kind.shape.composites)
        return kind(
            *(
                value(composites[index]) if index in composites else data.draw(VALUES)
                for index in range(len(kind.shape.places))
            )
        )

    original = value(kind)
    assert kind.parse(original.write()) == original


@given(st.text(alphabet='ab^&\\~FSTX"', max_size=30), st.sampled_from(KINDS))
def test_anything_can_be_read(text: str, kind: type[Composite]) -> None:
    value = kind.parse(text)
    assert kind.parse(value.write()) == value
