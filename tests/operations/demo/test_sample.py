from __future__ import annotations

from datetime import datetime

import pytest

from vitalbridge.hl7 import Message
from vitalbridge.operations.demo.sample import MODALITIES, sample_order
from vitalbridge.translate import check

NOW = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - the hospital's times are local


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_sample_is_a_good_order(modality: str) -> None:
    framed = sample_order("Müller^Jörg", modality, NOW)
    assert (framed[:1], framed[-2:]) == (b"\x0b", b"\x1c\r")
    message = Message(framed[1:-2])
    assert check(message) == []
    assert message.get("PID-5.1") == "Müller"
    assert message.get("OBR-24") == modality
    assert message.get("OBR-36") == "20260302090000"
    assert len(message.control_id) <= 20


def test_no_two_are_the_same() -> None:
    numbers = {Message(sample_order("Doe^Jane", "CT", NOW)[1:-2]).get("OBR-18") for _ in range(50)}
    assert len(numbers) == 50


@pytest.mark.parametrize("name", ["Doe|Jane", "Doe~Jane", "Doe\\Jane", "Doe\rJane", "Doe&Jane"])
def test_a_name_cannot_leave_its_field(name: str) -> None:
    with pytest.raises(ValueError, match="a name has no"):
        sample_order(name, "CT", NOW)
