"""Queries that real modalities send and nobody expects (DICOM PS3.4 C.2.2.2, K.4), on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from vitalbridge.dicom.server import WorklistServer
    from vitalbridge.dicom.worklist import WorklistItem

    Run = Callable[..., subprocess.CompletedProcess[str]]

DATE, TIME = "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"


@pytest.fixture
def server(
    serve: Callable[..., WorklistServer],
    list_source: type,
    make_item: Callable[..., WorklistItem],
) -> WorklistServer:
    evening = {DATE: "20231115", TIME: "230000", "ScheduledStationAETitle": ["MR_1"]}
    night = {DATE: "20231116", TIME: "020000", "Modality": "MR"}
    return serve(list_source([make_item(1), make_item(2, step=evening), make_item(3, step=night)]))


def step(**keys: object) -> dict[str, object]:
    return {"PatientID": "", "ScheduledProcedureStepSequence": [keys]}


ALL = {"P000001", "P000002", "P000003"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        # Without the sequence, with an empty one, with an empty item.
        ({"PatientID": ""}, ALL),
        ({"PatientID": "", "ScheduledProcedureStepSequence": []}, ALL),
        (step(), ALL),
        ({"PatientName": "*", "PatientID": "*"}, ALL),
        ({"PatientID": "", "PatientName": "**"}, ALL),
        (step(**{DATE: "-"}), ALL),
        (step(**{DATE: "*", TIME: "*"}), ALL),
        (step(**{DATE: "20231115"}), {"P000001", "P000002"}),
        (step(**{DATE: "20231115", TIME: "-"}), {"P000001", "P000002"}),
        (step(**{DATE: "20231115", TIME: "2200-"}), {"P000002"}),
        # One night: the range of date and time is one.
        (step(**{DATE: "20231115-20231116", TIME: "2200-0600"}), {"P000002", "P000003"}),
        (step(**{DATE: "20231116-20231116", TIME: "0000-235959"}), {"P000003"}),
        (step(ScheduledStationAETitle="mr_1"), {"P000002"}),
        (step(ScheduledStationAETitle="mr*"), {"P000002"}),
        (step(Modality="mr"), {"P000003"}),
        # UI has no wild cards, but a list of UIDs.
        ({"PatientID": "", "StudyInstanceUID": "1.2.840.113619.2.55.*"}, set()),
        (
            {
                "PatientID": "",
                "StudyInstanceUID": ["1.2.840.113619.2.55.2", "1.2.840.113619.2.55.3"],
            },
            {"P000002", "P000003"},
        ),
    ],
)
def test_what_is_understood(
    server: WorklistServer,
    connect: Callable[..., Any],
    keys: dict[str, object],
    expected: set[str],
) -> None:
    found, statuses = connect(server).find(**keys)
    assert {str(one.PatientID) for one in found} == expected
    assert statuses == [0xFF00] * len(expected) + [0]


@pytest.mark.parametrize(
    ("keys", "tag", "comment"),
    [
        (
            {"ScheduledProcedureStepSequence": [{"Modality": "CT"}, {"Modality": "MR"}]},
            0x00400100,
            "Sequence key of more than one item",
        ),
        (
            step(**{DATE: "20231115", TIME: "2200-0600"}),
            0x00400003,
            "Key value: range of times ends before it begins",
        ),
        (
            step(**{DATE: "20231116-20231115"}),
            0x00400002,
            "Key value: range of dates ends before it begins",
        ),
        (step(**{DATE: "202311*"}), 0x00400002, "Key value: not a date or range of dates"),
    ],
)
def test_what_is_refused(
    server: WorklistServer,
    connect: Callable[..., Any],
    dataset: Callable[..., Dataset],
    keys: dict[str, object],
    tag: int,
    comment: str,
) -> None:
    ((status, identifier),) = connect(server).responses(dataset(**keys))
    assert identifier is None
    assert status.Status == 0xA900
    assert status.OffendingElement == tag
    assert status.ErrorComment == comment


def test_an_identifier_without_keys(
    server: WorklistServer, connect: Callable[..., Any], dataset: Callable[..., Dataset]
) -> None:
    # An identifier has keys (PS3.4 K.4.1.1.3); an answer without attributes would help nobody.
    ((status, _),) = connect(server).responses(dataset(SpecificCharacterSet="ISO_IR 100"))
    assert status.Status == 0xA900
    assert status.ErrorComment == "Identifier without keys"


def test_private_keys_are_ignored_and_the_status_says_so(
    server: WorklistServer, run: Run, tmp_path: Path
) -> None:
    private = ("-k", "0009,0010=ACME 1.0", "-k", "0009,1001=ANYTHING", "-k", "0040,1001")
    for syntax in ("-xi", "-xe"):
        into = tmp_path / syntax
        into.mkdir()
        done = run(
            "findscu", "-W", "-X", "-v", syntax, "-od", into, *private,
            "-k", "0010,0020=P000001", "127.0.0.1", str(server.address[1]),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Warning" in done.stderr or "0xff01" in done.stderr.lower(), done.stderr
        (path,) = into.glob("*.dcm")
        answer = pydicom.dcmread(path, force=True)
        assert answer.PatientID == "P000001"
        assert not any(element.tag.is_private for element in answer)


def test_nothing_but_private_keys(
    server: WorklistServer, connect: Callable[..., Any], dataset: Callable[..., Dataset]
) -> None:
    keys = dataset()
    keys.private_block(0x0009, "ACME 1.0", create=True).add_new(1, "LO", "ANYTHING")
    results = list(connect(server).responses(keys))
    assert [status.Status for status, _ in results] == [0xFF01] * 3 + [0]
    assert [len(identifier) for _, identifier in results[:-1]] == [0, 0, 0]
