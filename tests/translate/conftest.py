from __future__ import annotations

from collections.abc import Callable

import pytest

from vitalbridge.hl7 import Message
from vitalbridge.translate import MappingRules, Station

Build = Callable[..., Message]

PID = "PID|1||12345^^^HOSPITAL^MR||DOE^JOHN^ANDREW||19800115|M"
ORC = "ORC|NW|ORD001^RIS|ACC001^PACS||SC||||20231115120000|||1234^SMITH^ROBERT^J^MD"


@pytest.fixture
def message() -> Build:
    """A message of the given type and segments; MSH is added."""

    def build(*segments: str, kind: str = "ORM^O01", time: str = "20231115113000") -> Message:
        msh = rf"MSH|^~\&|RIS|HOSPITAL|PACS|RADIOLOGY|{time}||{kind}|1|P|2.5.1||||||UNICODE UTF-8"
        return Message("\r".join([msh, *segments, ""]).encode())

    return build


@pytest.fixture
def order(message: Build) -> Build:
    """An order with PID, ORC and an OBR whose fields are given by number (``f24="CT"``)."""

    def build(
        *more: str, orc: str = ORC, pid: str = PID, kind: str = "ORM^O01", **fields: str
    ) -> Message:
        filled = {"f1": "1", "f4": "71260^CT CHEST^CPT", "f7": "20231115140000", "f24": "CT"}
        filled.update(fields)
        numbers = {int(name[1:]): text for name, text in filled.items()}
        obr = "|".join(["OBR", *(numbers.get(n, "") for n in range(1, max(numbers) + 1))])
        # More segments before OBR (PV1, TQ1) are told by their name.
        before_orc = [s for s in more if s[:3] in {"PV1", "AL1", "PD1"}]
        before = [s for s in more if s[:3] == "TQ1"]
        after = [s for s in more if s not in before_orc and s not in before]
        orcs = [orc] if orc else []
        return message(pid, *before_orc, *orcs, *before, obr, *after, kind=kind)

    return build


@pytest.fixture
def rules() -> MappingRules:
    return MappingRules(
        modality_stations={
            "CT": (
                Station("CT_SCANNER_1", "CT1", "ROOM 1"),
                Station("CT_SCANNER_2", "CT2", "ROOM 2"),
            ),
            "MR": (
                Station("MR_1", "MR1", "ROOM 3"),
                Station("MR_2", "MR2", "ROOM 4", default=True),
            ),
            "DX": (Station("DX_1", "", "ROOM 5"), Station("DX_2", "", "ROOM 5")),
        },
        procedure_to_modality={"71260": "CT", "MRBRAIN": "MR", "CHEST2": "XR"},
    )
