"""Weight and height from OBX (HL7 v2.5.1 7.4.2) in DICOM's units."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import NULL

from .tables import OBSERVATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import Segment

_RETRACTED: Final = frozenset({"D", "W", "X", "N"})
_LIMIT: Final = Decimal(10_000)


def put_observations(
    changes: Changes, observations: Sequence[Segment], warnings: list[str]
) -> None:
    """Lay PatientWeight (kg) and PatientSize (m) into ``changes``; the last of each kind counts.

    A value without a unit, with an unknown one, or that is no positive number is left out with a
    warning: a guessed weight is worse than none.
    """
    for obx in observations:
        known = OBSERVATIONS.get(obx.get(3)) or OBSERVATIONS.get(obx.get(3, 4))
        if known is None or obx.get(11) in _RETRACTED:
            continue
        keyword, units = known
        text = obx.get(5)
        if not text:
            comparator, text = "", obx.get(5, 2)
        elif text == NULL:
            changes[keyword] = None
            continue
        else:
            comparator = text if obx.get(2) == "SN" else ""
            text = obx.get(5, 2) if comparator else text
        if not text or comparator not in {"", "="}:
            warnings.append(f"OBX-5: {keyword} left out, no single number")
            continue
        value = measured(text, obx.get(6), units)
        if value:
            changes[keyword] = value
        else:
            warnings.append(f"OBX-5: {keyword} left out, no positive number with a known unit")


def measured(text: str, unit: str, units: Mapping[str, str]) -> str:
    """Return the decimal text (DS) of a measurement in the base unit, ``""`` if it is none."""
    factor = units.get(unit.strip().lower())
    if factor is None or not text.isascii() or "_" in text:
        return ""
    try:
        number = Decimal(text.strip()) * Decimal(factor)
    except ArithmeticError:
        return ""
    if not number.is_finite() or not 0 < number < _LIMIT:
        return ""
    rounded = number.quantize(Decimal("0.001"))
    return f"{rounded.normalize():f}" if rounded else ""
