"""The worklist as its server sees it: items, a query's keys, and the source that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from vitalbridge.dicom.attributes import Attributes

if TYPE_CHECKING:
    from collections.abc import Iterator


class WorklistItem(msgspec.Struct, frozen=True):
    """One scheduled procedure step with all that a modality may ask of it (DICOM PS3.4 K.6.1.2).

    ``patient`` and ``order`` are top-level keywords, ``step`` the one item of
    ScheduledProcedureStepSequence. ``version`` changes whenever any of the three does: equal
    (key, version) means equal bytes, so that an encoded response may be kept.
    """

    key: int
    version: tuple[int, int]
    patient: Attributes
    order: Attributes
    step: Attributes


class WorklistQuery(msgspec.Struct, frozen=True):
    """What an index may use of a C-FIND identifier; empty means universal matching.

    All conditions are conjunctive. Values in tuples are alternatives. The source may return more
    than what matches (each item is matched in full afterwards) but never less: a step whose start
    is shorter than 14 digits counts from the first moment that it includes (pad it with zeros).
    Names are folded by :func:`vitalbridge.dicom.matching.fold`; ``name_prefix`` is what precedes
    the first wild card, and any of a name's component groups may begin with it.
    """

    accession_numbers: tuple[str, ...] = ()
    study_uids: tuple[str, ...] = ()
    patient_ids: tuple[str, ...] = ()
    requested_procedure_ids: tuple[str, ...] = ()
    step_ids: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    start_from: str = ""  # YYYYMMDDHHMMSS, inclusive
    start_to: str = ""  # YYYYMMDDHHMMSS, inclusive
    name_prefix: str = ""


class WorklistSource(Protocol):
    """Where the server finds items; called from the server's own threads."""

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        """Yield visible items that can match, ordered by start; OSError when storage fails."""
        ...
