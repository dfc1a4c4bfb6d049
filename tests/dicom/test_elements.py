"""The data set codec against pydicom's."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from vitalbridge.dicom import elements
from vitalbridge.dicom.elements import SYNTAXES, EncodingError, Syntax

ALL = list(SYNTAXES.values())


def sample() -> Dataset:
    item = Dataset()
    item.Modality = "CT"
    item.ScheduledStationAETitle = ["A", "B"]
    inner = Dataset()
    inner.CodeValue = "71260"
    item.ScheduledProtocolCodeSequence = [inner, Dataset()]
    made = Dataset()
    made.PatientName = "DOE^JOHN"
    made.StudyInstanceUID = "1.2.3"
    made.PregnancyStatus = 4
    made.AdditionalPatientHistory = "x" * 70
    made.ScheduledProcedureStepSequence = [item]
    made.ReferencedStudySequence = []
    return made


def plain(found: tuple[elements.Element, ...]) -> list[object]:
    return [
        (
            e.tag,
            [plain(item) for item in e.items] if e.items is not None else e.value.rstrip(b" \0"),
        )
        for e in found
    ]


@pytest.mark.parametrize("syntax", ALL, ids=lambda s: s.uid)
def test_reads_what_pydicom_writes(syntax: Syntax) -> None:
    data = encode(sample(), not syntax.explicit, not syntax.big)
    assert data is not None
    number = b"\0\x04" if syntax.big else b"\x04"
    assert plain(elements.read(data, syntax)) == [
        (0x00081110, []),
        (0x00100010, b"DOE^JOHN"),
        (0x001021B0, b"x" * 70),
        (0x001021C0, number),
        (0x0020000D, b"1.2.3"),
        (
            0x00400100,
            [
                [
                    (0x00080060, b"CT"),
                    (0x00400001, b"A\\B"),
                    (0x00400008, [[(0x00080100, b"71260")], []]),
                ]
            ],
        ),
    ]


@pytest.mark.parametrize("syntax", ALL, ids=lambda s: s.uid)
def test_pydicom_reads_what_is_written(syntax: Syntax) -> None:
    code = elements.element(0x00080100, "SH", b"71260", syntax)
    step = elements.element(0x00080060, "CS", b"CT", syntax)
    step += elements.sequence(0x00400008, [code, b""], syntax)
    data = b"".join(
        [
            elements.element(0x00100010, "PN", b"DOE^J", syntax),
            elements.element(0x001021C0, "US", elements.numbers("US", ["4"], syntax), syntax),
            elements.element(0x0020000D, "UI", b"1.2.3", syntax),
            elements.sequence(0x00400100, [step], syntax),
        ]
    )
    read = decode(BytesIO(data), not syntax.explicit, not syntax.big)
    assert read.PatientName == "DOE^J"
    assert read.PregnancyStatus == 4
    assert read.StudyInstanceUID == "1.2.3"
    protocols = read.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence
    assert [len(item) for item in protocols] == [1, 0]
    assert len(data) % 2 == 0


def test_undefined_lengths() -> None:
    made = sample()
    made["ScheduledProcedureStepSequence"].is_undefined_length = True
    made.ScheduledProcedureStepSequence[0].is_undefined_length_sequence_item = True
    for syntax in ALL:
        data = encode(made, not syntax.explicit, not syntax.big)
        assert data is not None
        fixed = encode(sample(), not syntax.explicit, not syntax.big)
        assert fixed is not None
        assert data != fixed
        assert plain(elements.read(data, syntax)) == plain(elements.read(fixed, syntax))


def test_sequence_sent_as_unknown() -> None:
    syntax = SYNTAXES[elements.EXPLICIT_LITTLE]
    implicit = SYNTAXES[elements.IMPLICIT_LITTLE]
    step = elements.element(0x00080060, "CS", b"CT", implicit)
    item = elements.sequence(0x00400100, [step], implicit)[8:]
    data = elements.header(0x00400100, "UN", len(item), syntax) + item
    assert plain(elements.read(data, syntax)) == [(0x00400100, [[(0x00080060, b"CT")]])]


@pytest.mark.parametrize("syntax", ALL, ids=lambda s: s.uid)
@given(data=st.binary(max_size=200))
def test_garbage_is_an_encoding_error_or_elements(data: bytes, syntax: Syntax) -> None:
    with suppress(EncodingError):
        assert sum(len(e.value) for e in elements.read(data, syntax)) <= len(data)


@pytest.mark.parametrize("syntax", ALL, ids=lambda s: s.uid)
@given(cut=st.integers(0, 400), flip=st.integers(0, 400), bits=st.integers(1, 255))
def test_damaged_data_sets(syntax: Syntax, cut: int, flip: int, bits: int) -> None:
    data = bytearray(encode(sample(), not syntax.explicit, not syntax.big) or b"")
    data[flip % len(data)] ^= bits
    damaged = bytes(data[: len(data) - cut % len(data)])
    with suppress(EncodingError):
        assert sum(len(e.value) for e in elements.read(damaged, syntax)) <= len(damaged)


def test_depth_is_bounded() -> None:
    syntax = SYNTAXES[elements.IMPLICIT_LITTLE]
    data = b""
    for _ in range(20):
        data = elements.sequence(0x00400100, [data], syntax)
    with pytest.raises(EncodingError, match="nested"):
        elements.read(data, syntax)


def test_values_too_long_for_their_vr() -> None:
    with pytest.raises(ValueError, match="too long"):
        elements.element(0x00100010, "PN", b"x" * 70_000, SYNTAXES[elements.EXPLICIT_LITTLE])
    with pytest.raises(ValueError, match="range"):
        elements.numbers("US", ["70000"], ALL[0])
