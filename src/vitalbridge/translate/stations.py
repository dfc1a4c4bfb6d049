"""Which modality does a step, and on which stations it may be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .tables import MODALITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.dicom.attributes import Changes

    from .mapping import MappingRules, Station

UNRESOLVED: Final = "OT"


def named_modality(name: str, rules: MappingRules) -> str:
    """Return the modality that the message names, ``""`` if what it names is none.

    A name counts if, after ``modality_aliases``, it is a defined term of DICOM or has stations.
    """
    if not name:
        return ""
    modality = modality_term(name, rules)
    return modality if modality in MODALITIES or modality in rules.modality_stations else ""


def mapped_modality(codes: Sequence[str], rules: MappingRules) -> str:
    """Return the modality of the first procedure code that ``procedure_to_modality`` knows."""
    for code in codes:
        if code and (mapped := rules.procedure_to_modality.get(code)):
            return modality_term(mapped, rules)
    return ""


def modality_term(name: str, rules: MappingRules) -> str:
    """Return the name of a modality in capitals, after ``modality_aliases``."""
    name = name.strip().upper()
    return rules.modality_aliases.get(name, name)


def stations_of(
    modality: str, ae_titles: Sequence[str], station_name: str, rules: MappingRules
) -> list[Station]:
    """Return the configured stations for a step.

    One that the order names, by AE title or by station name, wins; else the modality's default
    one; else all of the modality, since any of them may do it.
    """
    if ae_titles:
        named = set(ae_titles)
        return [
            station
            for stations in rules.modality_stations.values()
            for station in stations
            if station.ae_title in named
        ]
    stations = rules.modality_stations.get(modality, ())
    if station_name:
        by_name = [station for station in stations if station.station_name == station_name]
        if by_name:
            return by_name
    for station in stations:
        if station.default:
            return [station]
    return list(stations)


def put_stations(changes: Changes, stations: Sequence[Station]) -> None:
    """Lay name and location of the stations into a step's attributes.

    The location is given only if it is the same wherever the step may be done.
    """
    if not stations:
        return
    names = list(dict.fromkeys(s.station_name for s in stations if s.station_name))
    if names:
        changes["ScheduledStationName"] = names[0] if len(names) == 1 else names
    location = stations[0].location
    if location and all(s.location == location for s in stations):
        changes["ScheduledProcedureStepLocation"] = location
