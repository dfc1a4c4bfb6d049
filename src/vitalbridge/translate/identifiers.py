"""Identifiers of patients, orders, requested procedures and steps. None is ever cut.

One that DICOM has no room for (LO 64 or SH 16 characters, no backslash, no control character) is a
fault before the acknowledgement, or by policy a generated short one stands for it.
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import CX, EI, NULL

from .paths import field_path, find_segment
from .records import PatientIdentifier
from .tables import PATIENT_NUMBER_TYPES

if TYPE_CHECKING:
    from vitalbridge.hl7 import HD, Message, OrderGroup, Segment

    from .mapping import MappingRules
    from .times import Place

PATIENT_ID_LIMIT: Final = 64
SHORT_LIMIT: Final = 16
ORDER_NUMBER_LIMIT: Final = 64


def fits(identifier: str, limit: int) -> bool:
    """Return whether DICOM can hold the identifier as it is."""
    return len(identifier) <= limit and identifier.isprintable() and "\\" not in identifier


def short_id(identifier: str) -> str:
    """Return the 16 characters (base 32, 80 bits) that stand for an identifier; always the same."""
    return b32encode(
        blake2b(identifier.encode("utf-8", "surrogatepass"), digest_size=10).digest()
    ).decode("ascii")


def _issuer(authority: HD) -> str:
    name = authority.namespace_id or authority.universal_id
    return "" if name == NULL else name.strip()


def patient_identifiers(
    segment: Segment, field: int, rules: MappingRules, *, issuer: str | None = None
) -> tuple[PatientIdentifier, ...]:
    """Return the identifiers of a CX field (PID-3, MRG-1), the one for PatientID first.

    The issuer is the assigning authority's namespace, else its universal id, else ``issuer`` (the
    rules' default). First comes the number of the rules' issuer, then a medical record number (type
    MR) of anyone, then another patient number, then the rest; equals keep their order. An
    identifier of another kind (account, licence, card) without an authority says nothing and is
    left out unless it is the only one.
    """
    own = rules.default_patient_id_issuer
    default = own if issuer is None else issuer
    ranked: list[tuple[int, PatientIdentifier]] = []
    anonymous: list[tuple[int, PatientIdentifier]] = []
    for cx in segment.read_all(CX, field):
        number = cx.id.strip()
        if not number or number == NULL:
            continue
        kind = cx.identifier_type
        authority = _issuer(cx.assigning_authority)
        identifier = PatientIdentifier(number, authority or default, kind)
        if kind in PATIENT_NUMBER_TYPES:
            if identifier.issuer == own:
                rank = 0 if kind == "MR" else 1
            else:
                rank = 2 if kind == "MR" else 3
        elif authority:
            rank = 4
        else:
            anonymous.append((5, identifier))
            continue
        ranked.append((rank, identifier))
    if not ranked:
        ranked = anonymous[:1]
    if len(ranked) > 1:
        ranked.sort(key=_rank)
        unique = {(entry.id, entry.issuer): entry for _, entry in reversed(ranked)}
        return tuple(reversed(unique.values()))
    return tuple(entry for _, entry in ranked)


def _rank(entry: tuple[int, PatientIdentifier]) -> int:
    return entry[0]


def order_number(first: Segment | None, second: Segment | None, field: int) -> tuple[str, str]:
    """Return (canonical EI, component 1) of an order number, from the first segment that has it.

    A field that names only an authority (``^HIS``) has no number.
    """
    for segment in (first, second):
        if segment is None or not segment.field(field):
            continue
        ei = segment.read(EI, field)
        if ei is not None and (entity := ei.entity.strip()) and entity != NULL:
            return ei.canonical, entity
    return "", ""


def first_place(
    sources: tuple[str, ...], message: Message, group: OrderGroup
) -> tuple[str, Place | None]:
    """Return the first value that isn't empty of some configured paths, and where it stands."""
    for source in sources:
        path = field_path(source)
        segment = find_segment(path, message, group)
        if segment is not None:
            text = segment.get(path.field, path.component, path.subcomponent, path.repetition)
            if text and text != NULL and (text := text.strip()):
                return text, (segment, path.field, path.component)
    return "", None


def given_accession(
    message: Message, group: OrderGroup, rules: MappingRules
) -> tuple[str, Place | None]:
    """Return the accession number as the message has it: IPC-1, else ``accession_sources``."""
    for ipc in group.ipc:
        if (text := ipc.get(1)) and text != NULL:
            return text.strip(), (ipc, 1, 1)
    return first_place(rules.accession_sources, message, group)


def given_procedure_id(group: OrderGroup) -> tuple[str, Place | None]:
    """Return the requested procedure id that the message names: IPC-2, else OBR-19."""
    for ipc in group.ipc:
        if (text := ipc.get(2)) and text != NULL:
            return text.strip(), (ipc, 2, 1)
    obr = group.obr
    if obr is not None and (text := obr.get(19)) and text != NULL:
        return text.strip(), (obr, 19, 1)
    return "", None


def procedure_id(given: str, filler: str, accession: str, placer: str) -> str:
    """Return the requested procedure id: the given one, else OBR-3, accession or placer number.

    Those are substitutes, so one that doesn't fit is passed over; when none fits, a generated id
    stands for the first.
    """
    if given:
        return given
    substitutes = [text for text in (filler, accession, placer) if text]
    for text in substitutes:
        if fits(text, SHORT_LIMIT):
            return text
    return short_id(substitutes[0]) if substitutes else ""
