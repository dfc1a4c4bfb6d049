"""The orders of a message: which segments belong together.

The groups follow from the order of the segments alone, so that ORM^O01, OMG^O19, OMI^O23, ORU^R01
and their local variants are read by one rule (HL7 v2.5.1 4.4.1, 4.4.4, 4.4.12, 7.3.1).
"""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .segment import Segment

_LISTS: Final = {"TQ1": "tq1", "OBX": "obx", "IPC": "ipc", "DG1": "dg1"}


class OrderGroup:
    """One OBR with what belongs to it, or an ORC that has no OBR.

    Several OBR after one ORC are a group each and share that ORC and the TQ1 segments written
    between it and the first OBR. ``nte`` holds the notes to the order; those to an observation come
    after an OBX and are in ``segments`` only. ``segments`` has all of it in the order of the
    message. ``index`` counts the groups from one.

    ``zds`` (the Study Instance UID, IHE RAD-4) is the group's own. When the groups do not each have
    one and every ZDS of the message says the same, it holds for all of them.

    ``patient`` is the number of the PID before the group (0 without any). In OMG and OML a second
    PID within the message begins prior results of the same patient: their groups are no new orders.
    """

    __slots__ = (
        "dg1",
        "index",
        "ipc",
        "nte",
        "obr",
        "obx",
        "orc",
        "patient",
        "segments",
        "tq1",
        "zds",
    )

    def __init__(self, index: int, patient: int, orc: Segment | None) -> None:
        self.index = index
        self.patient = patient
        self.orc = orc
        self.obr: Segment | None = None
        self.zds: Segment | None = None
        self.tq1: list[Segment] = []
        self.obx: list[Segment] = []
        self.nte: list[Segment] = []
        self.ipc: list[Segment] = []
        self.dg1: list[Segment] = []
        self.segments: list[Segment] = [] if orc is None else [orc]

    def __repr__(self) -> str:
        return f"<OrderGroup {self.index}: {'-'.join(s.name for s in self.segments)}>"


MOST_SHARED: Final = 20


def order_groups(segments: Sequence[Segment]) -> list[OrderGroup]:
    """Divide the segments of a message into its orders; what precedes the first one is left out."""
    groups: list[OrderGroup] = []
    group: OrderGroup | None = None
    every_zds: list[Segment] = []
    patients = 0
    for segment in segments:
        name = segment.name
        if name == "ORC" or (name == "OBR" and (group is None or group.obr is not None)):
            orc = segment if name == "ORC" else group.orc if group is not None else None
            group = OrderGroup(len(groups) + 1, patients, orc)
            groups.append(group)
        elif name == "PID" or name == "MSH":
            patients += name == "PID"
            group = None
        if name == "ZDS":
            every_zds.append(segment)
        if group is not None and name != "ORC":
            _place(group, segment)
    _share_timing(groups)
    if every_zds and not all(group.zds for group in groups):
        _share_zds(groups, every_zds)
    return groups


def _place(group: OrderGroup, segment: Segment) -> None:
    group.segments.append(segment)
    name = segment.name
    if name in _LISTS:
        getattr(group, _LISTS[name]).append(segment)
    elif name == "OBR":
        group.obr = segment
    elif name == "NTE":
        if not group.obx:
            group.nte.append(segment)
    elif name == "ZDS" and group.zds is None:
        group.zds = segment


def _share_timing(groups: list[OrderGroup]) -> None:
    """Give the TQ1 between an ORC and its first OBR to the other OBR of that ORC.

    Only so many of them: every OBR gets a copy, and a hostile message may hold a million of both.
    """
    for previous, group in pairwise(groups):
        if group.tq1 or group.orc is None or group.orc is not previous.orc:
            continue
        assert previous.obr is not None
        first = islice(previous.tq1, MOST_SHARED)
        group.tq1 = [tq1 for tq1 in first if tq1.line < previous.obr.line]
        group.segments[1:1] = group.tq1


def _share_zds(groups: list[OrderGroup], every_zds: list[Segment]) -> None:
    if len({zds.text for zds in every_zds}) > 1:
        return
    for group in groups:
        if group.zds is None:
            group.zds = every_zds[0]
            group.segments.append(group.zds)
