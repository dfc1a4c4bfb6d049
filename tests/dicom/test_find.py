"""Requests understood once, responses encoded once."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pynetdicom.dsutils import decode, encode

from vitalbridge.dicom.charsets import UTF_8
from vitalbridge.dicom.elements import EXPLICIT_LITTLE, IMPLICIT_LITTLE, SYNTAXES
from vitalbridge.dicom.find import Answers
from vitalbridge.dicom.query import InvalidIdentifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from vitalbridge.dicom.worklist import WorklistItem

IMPLICIT = SYNTAXES[IMPLICIT_LITTLE]


def encoded(keys: Dataset) -> bytes:
    data = encode(keys, True, True)
    assert data is not None
    return data


def names(answers: Answers, data: bytes) -> list[str]:
    found = answers.matches(answers.understand(data, IMPLICIT, ()))
    return [str(decode(BytesIO(r.data), True, True).PatientName) for r in found]


def test_a_new_version_is_encoded_anew(
    make_item: Callable[..., WorklistItem],
    list_source: Callable[..., object],
    dataset: Callable[..., Dataset],
) -> None:
    source = list_source([make_item(1)])
    answers = Answers(source, 1_000_000)
    keys = encoded(dataset(PatientName=""))
    assert names(answers, keys) == ["DOE^JOHN^ANDREW"]
    source.items = [make_item(1, version=(1, 2), patient={"PatientName": "ROE^JANE"})]
    assert names(answers, keys) == ["ROE^JANE"]


def test_equal_versions_are_encoded_once(
    make_item: Callable[..., WorklistItem],
    list_source: Callable[..., object],
    dataset: Callable[..., Dataset],
) -> None:
    answers = Answers(list_source([make_item(1)]), 1_000_000)
    one, other = (
        answers.understand(encoded(dataset(PatientName=name)), IMPLICIT, ())
        for name in ("DOE*", "*JOHN*")
    )
    (first,), (second,) = answers.matches(one), answers.matches(other)
    assert first is second
    utf8 = answers.understand(encoded(dataset(PatientName="")), IMPLICIT, (UTF_8,))
    (third,) = answers.matches(utf8)
    assert third is not first


def test_memory_is_bounded(
    make_item: Callable[..., WorklistItem],
    list_source: Callable[..., object],
    dataset: Callable[..., Dataset],
) -> None:
    answers = Answers(list_source([make_item(key) for key in range(100)]), 5_000)
    keys = encoded(dataset(PatientName="", PatientID=""))
    for _ in range(3):
        assert len(names(answers, keys)) == 100
        assert 0 < len(answers._responses) < 15
        assert answers._bytes <= 5_000
    for number in range(2000):
        answers.understand(encoded(dataset(PatientID=str(number))), IMPLICIT, ())
    assert len(answers._requests) <= 512


def test_the_syntax_belongs_to_the_request(
    make_item: Callable[..., WorklistItem],
    list_source: Callable[..., object],
    dataset: Callable[..., Dataset],
) -> None:
    answers = Answers(list_source([make_item()]), 1_000_000)
    keys = dataset(PatientName="")
    explicit = encode(keys, False, True)
    assert explicit is not None
    with pytest.raises(InvalidIdentifier):
        answers.understand(explicit, IMPLICIT, ())
    (response,) = answers.matches(answers.understand(explicit, SYNTAXES[EXPLICIT_LITTLE], ()))
    assert decode(BytesIO(response.data), False, True).PatientName == "DOE^JOHN^ANDREW"
