"""One order to send by hand."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from vitalbridge.operations.demo import messages
from vitalbridge.operations.demo.catalogue import PROCEDURES
from vitalbridge.operations.demo.garbage import END, START
from vitalbridge.operations.demo.hospital import base36

if TYPE_CHECKING:
    from datetime import datetime

MODALITIES = tuple(sorted({procedure.modality for procedure in PROCEDURES}))


def sample_order(name: str, modality: str, now: datetime) -> bytes:
    """Return a framed ORM^O01 NW for ``now`` (local), with numbers of its own each time.

    ``name`` is ``FAMILY^GIVEN``; ``modality`` is one of :data:`MODALITIES`. Raises ValueError when
    the name holds a character that would end the field.
    """
    if any(character in name for character in "|~\\&\r\n"):
        raise ValueError("a name has no |, ~, \\, & or line end")
    number = base36(secrets.randbelow(36**9), 9)
    time = now.strftime("%Y%m%d%H%M%S")
    person = messages.Person(
        identifier=f"P{number}",
        name=name,
        birth_date="19800115",
        sex="O",
        address="1 Sample Street^^Sampletown",
        phone="",
        charset="UNICODE UTF-8",
        codec="utf-8",
        lane=0,
        visit=f"V{number}",
    )
    order = messages.Order(
        placer=f"O{number}",
        filler=f"F{number}",
        accession=f"A{number}",
        procedure=next(known for known in PROCEDURES if known.modality == modality),
        start=time,
        priority="R",
        doctor="1234^Hill^Robert^J^^Dr^MD",
        reason="Sent by hand",
    )
    text = messages.general_order(messages.RIS, f"M{number}", time, person, order, "NW", "SC")
    return START + text.encode() + END
