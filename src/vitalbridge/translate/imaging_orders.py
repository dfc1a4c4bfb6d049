"""IPC segments of imaging orders: a step per IPC-4 (HL7 v2.5.1 4.5.6, DICOM PS3.3 C.4.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalbridge.hl7 import NULL

from .codes import codes, distinct_codes
from .records import StepRecord
from .stations import modality_term, put_stations, stations_of
from .steps import step_modality
from .text import SH, Line, coded_text, put_text, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vitalbridge.dicom.attributes import Attributes, Changes
    from vitalbridge.hl7 import OrderGroup, Segment

    from .mapping import MappingRules


def imaging_steps(
    group: OrderGroup,
    obr: Segment,
    base: StepRecord,
    creates: bool,
    rules: MappingRules,
    warnings: list[str],
) -> tuple[StepRecord, ...]:
    """Return a step for every distinct IPC-4 of the group.

    ``base`` is what OBR and TQ1 say; IPC wins over it. Further segments with the same IPC-4 add
    their protocol codes (IPC-6) and station titles (IPC-9); of the rest the first that is not empty
    counts. Where IPC-4 is empty there is a step for every modality (IPC-5), the first of which has
    the id of ``base``.
    """
    divided = _divided(group.ipc, rules)
    if len(divided) > 1 and any(not step_id for step_id, _ in divided):
        warnings.append("IPC-4: empty beside other steps")
    steps = []
    spare = base.step_id
    for (step_id, _), segments in divided.items():
        own = step_id or spare
        if not step_id:
            spare = ""
        steps.append(_step(own, segments, obr, base, creates, rules, warnings))
    return tuple(steps)


def ipc_modality(ipc: Segment, rules: MappingRules) -> str:
    """Return what IPC-5 names, after ``modality_aliases``; ``""`` if it names nothing."""
    return modality_term(said(ipc.get(5)), rules)


def _divided(ipcs: Sequence[Segment], rules: MappingRules) -> dict[tuple[str, str], list[Segment]]:
    """Divide the segments into steps by IPC-4 or, where it is empty, by modality.

    One without either belongs to the first step without an id.
    """
    keys = []
    for ipc in ipcs:
        step_id = said(ipc.get(4)).strip()
        keys.append((step_id, "" if step_id else ipc_modality(ipc, rules)))
    first = next((modality for step_id, modality in keys if not step_id and modality), "")
    divided: dict[tuple[str, str], list[Segment]] = {}
    for (step_id, modality), ipc in zip(keys, ipcs, strict=True):
        key = (step_id, "" if step_id else modality or first)
        divided.setdefault(key, []).append(ipc)
    return divided


def _step(
    step_id: str,
    segments: Sequence[Segment],
    obr: Segment,
    base: StepRecord,
    creates: bool,
    rules: MappingRules,
    warnings: list[str],
) -> StepRecord:
    changes: Changes = dict(base.attributes)
    named = _first(segments, 5) or said(obr.get(24))
    modality, unmapped = step_modality(named, obr, creates, rules, warnings)
    titles = tuple(dict.fromkeys(_ae_titles(segments)))
    name = _first(segments, 7)
    stations = stations_of(modality, titles, name, rules)
    put_stations(changes, stations)
    put_text(changes, "ScheduledStationName", name, SH, "IPC-7", warnings)
    location = _location(segments)
    put_text(changes, "ScheduledProcedureStepLocation", location, SH, "IPC-8", warnings)
    protocols: list[Attributes] = []
    for ipc in segments:
        protocols.extend(codes(ipc, 6, rules, warnings))
    protocols = distinct_codes(protocols)
    if protocols:
        changes["ScheduledProtocolCodeSequence"] = protocols
        meaning = protocols[0]["CodeMeaning"]
        changes["ScheduledProcedureStepDescription"] = meaning
    return StepRecord(
        step_id,
        base.start,
        modality,
        titles or tuple([station.ae_title for station in stations]),
        changes,
        unmapped,
        base.start_assumed,
        not titles and not name and not location,
    )


def _first(segments: Sequence[Segment], field: int) -> str:
    for segment in segments:
        if text := said(segment.get(field)):
            return text.strip()
    return ""


def _location(segments: Sequence[Segment]) -> str:
    for segment in segments:
        text = coded_text(segment, 8)
        if text and text != NULL:
            return text
    return ""


def _ae_titles(segments: Sequence[Segment]) -> Iterator[str]:
    for segment in segments:
        for repetition in segment.read_all(Line, 9):
            if title := said(repetition.value).strip():
                yield title
