import pytest

from vitalbridge.hl7 import STANDARD, Delimiters, MalformedMessage, parse_delimiters
from vitalbridge.hl7.delimiters import ABSENT


def test_the_usual_delimiters() -> None:
    assert parse_delimiters("|", "^~\\&") == STANDARD == Delimiters("|", "^", "~", "\\", "&")


def test_truncation_character_of_version_2_7() -> None:
    delimiters = parse_delimiters("|", "^~\\&#")
    assert delimiters.truncation == "#"
    assert delimiters.encoding_characters == "^~\\&#"


@pytest.mark.parametrize("encoding_characters", ["^", "^~", "^~\\", "^~\\&", "$%*@"])
def test_characters_that_are_not_declared_do_not_exist(encoding_characters: str) -> None:
    delimiters = parse_delimiters("|", encoding_characters)
    declared = [
        delimiters.component,
        delimiters.repetition,
        delimiters.escape,
        delimiters.subcomponent,
        delimiters.truncation,
    ]
    assert "".join(declared).rstrip(ABSENT) == encoding_characters
    assert delimiters.encoding_characters == encoding_characters


@pytest.mark.parametrize(
    ("field", "encoding_characters", "location"),
    [
        ("", "^~\\&", "MSH^1^1"),
        ("A", "^~\\&", "MSH^1^1"),
        ("\r", "^~\\&", "MSH^1^1"),
        ("é", "^~\\&", "MSH^1^1"),
        ("|", "", "MSH^1^2"),
        ("|", "^^\\&", "MSH^1^2"),
        ("|", "^~\\|", "MSH^1^2"),
        ("|", "^~\\&#!", "MSH^1^2"),
        ("|", "^~ &", "MSH^1^2"),
        ("|", '^~"&', "MSH^1^2"),
        ("|", "^~X&", "MSH^1^2"),
    ],
)
def test_unusable_delimiters(field: str, encoding_characters: str, location: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_delimiters(field, encoding_characters)
    assert (caught.value.fault.code, caught.value.fault.location) == (102, location)


def test_one_level_down_the_subcomponent_divides_and_letters_keep_their_meaning() -> None:
    inner = STANDARD.inner
    assert inner.component == "&"
    assert inner.subcomponent == inner.repetition == ABSENT
    assert inner.named == STANDARD.named
    assert inner != Delimiters(component="&", repetition=ABSENT, subcomponent=ABSENT)
