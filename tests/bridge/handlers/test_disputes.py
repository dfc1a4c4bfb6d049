"""An order whose PID and whose patient are not one person is hidden until they are."""

from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.bridge.handlers import Policy
from vitalbridge.bridge.model import PutStep

World = Any

T1, T2, T3, T4 = (f"2024010{day}100000" for day in range(1, 5))
DOE: dict[str, str] = {}
ROE = {"name": "ROE^RICHARD", "birth": "19500101"}
WARN = Policy(patient_mismatch="warn")


@pytest.fixture
def described_anew(world: World) -> World:
    """P1 of DOE, P2 of DOE completed; then the ADT says that the number is ROE's."""
    world.orm("NW", "P1")
    world.orm("NW", "P2", accession="A2")
    world.orm("SC", "P2", accession="A2", status="CM")
    world.adt("A04", T1, person=world.pid(**ROE))
    return world


def test_an_adt_about_somebody_else_hides_the_open_orders(described_anew: World) -> None:
    assert described_anew.visible() == []
    assert described_anew.order("P1").disputed
    assert described_anew.step("P1").held
    assert not described_anew.order("P2").disputed
    assert described_anew.step("P2").status == "COMPLETED"


def test_the_alarm_is_noted_once(world: World) -> None:
    world.orm("NW", "P1")
    world.orm("NW", "P2", accession="A2")
    result = world.adt("A04", person=world.pid(**ROE))
    assert result.notes == ["alarm"]
    assert result.changes == ["updated", "updated"]


def test_the_policy_may_be_to_warn_only(world: World) -> None:
    world.policy = WARN
    world.orm("NW")
    assert world.adt("A04", person=world.pid(**ROE)).notes == ["alarm"]
    assert len(world.visible()) == 1


def test_an_adt_about_the_same_person_hides_nothing(world: World) -> None:
    world.orm("NW")
    assert world.adt("A04", person=world.pid(name="DOE^JANE", sex="F")).notes == []
    assert len(world.visible()) == 1
    # From now on ADT alone says who it is.
    assert world.adt("A08", person=world.pid(**ROE)).notes == []
    assert len(world.visible()) == 1


@pytest.mark.parametrize("control", ["NW", "XO", "RL"])
def test_a_later_order_message_that_agrees_shows_it(described_anew: World, control: str) -> None:
    described_anew.orm(control, person=described_anew.pid(**ROE))
    assert [step.key for step in described_anew.visible()] == [described_anew.step("P1").key]


def test_a_later_order_message_that_does_not_agree_does_not(described_anew: World) -> None:
    assert "alarm" in described_anew.orm("XO", start="20240109").notes
    assert described_anew.visible() == []
    assert described_anew.step("P1").start == "20240109"


def test_a_corrected_adt_shows_it(described_anew: World) -> None:
    described_anew.adt("A08", T2, person=described_anew.pid())
    assert [step.key for step in described_anew.visible()] == [described_anew.step("P1").key]
    # And back again: the order is still about the one whom it described.
    assert described_anew.adt("A08", T3, person=described_anew.pid(**ROE)).notes == ["alarm"]
    assert described_anew.visible() == []


def test_a_corrected_adt_shows_an_order_that_disagreed_when_it_came(world: World) -> None:
    world.adt("A04", T1)
    world.orm("NW", person=world.pid(**ROE))
    assert world.visible() == []
    world.adt("A08", T2, person=world.pid(**ROE))
    assert len(world.visible()) == 1


def test_the_policy_of_today_counts(world: World) -> None:
    world.adt("A04", T1)
    world.orm("NW", person=world.pid(**ROE))
    world.adt("A08", T2, person=world.pid(**ROE))
    world.policy = WARN
    world.adt("A08", T3)
    assert len(world.visible()) == 1


def test_a_held_order_stays_held_when_its_dispute_ends(world: World) -> None:
    world.orm("NW")
    world.orm("HD")
    world.adt("A04", T1, person=world.pid(**ROE))
    world.adt("A08", T2)
    assert world.visible() == []
    assert not world.order("P1").disputed
    world.orm("RL")
    assert len(world.visible()) == 1


def test_a_release_does_not_end_a_dispute(described_anew: World) -> None:
    described_anew.orm("HD")
    described_anew.orm("RL")
    assert described_anew.visible() == []


def test_what_an_operator_hid_stays_hidden(described_anew: World) -> None:
    step = described_anew.step("P1")
    step.status_source = "operator"
    described_anew.state.apply([PutStep(step, "updated")])
    described_anew.adt("A08", T2)
    assert described_anew.visible() == []


def test_nothing_of_the_other_person_stays(world: World) -> None:
    other = world.pid("100^^^HOSP^MR~7^^^NAT^NI", more="STREET^^TOWN")
    world.orm("NW", person=other)
    world.adt("A04", person=world.pid("100^^^HOSP^MR~5^^^CARD^PI", **ROE))
    patient = world.patient("100")
    assert "PatientAddress" not in patient.attributes
    assert [identifier.id for identifier in patient.identifiers] == ["100", "5"]
    assert world.patient("7", "NAT") is None


def test_if_only_warned_all_stays(world: World) -> None:
    world.policy = WARN
    world.orm("NW", person=world.pid("100^^^HOSP^MR~7^^^NAT^NI", more="STREET^^TOWN"))
    world.adt("A04", person=world.pid(**ROE))
    assert world.patient("7", "NAT").attributes["PatientAddress"] == "STREET, TOWN"


def test_an_appointment_without_an_order_is_hidden_too(world: World) -> None:
    world.siu("S12", person=world.pid())
    world.adt("A04", person=world.pid(**ROE))
    assert world.visible() == []
    world.siu("S14", person=world.pid(**ROE))
    assert len(world.visible()) == 1


def test_another_patients_claim_is_not_settled_by_a_description(world: World) -> None:
    world.adt("A04", T1)
    world.orm("NW", person=world.pid(**ROE))
    world.orm("XO", person=world.pid("200"))
    world.adt("A08", T2, person=world.pid(**ROE))
    assert world.visible() == []
    world.orm("XO", person=world.pid(**ROE))
    assert len(world.visible()) == 1


def test_a_merge_ends_the_dispute_and_its_undoing_brings_it_back(world: World) -> None:
    world.adt("A04", T1, person=world.pid("200", name="UNKNOWN^M", birth="19000101"))
    world.adt("A04", T1, person=world.pid("100"))
    world.orm("NW", person=world.pid("200"))
    assert world.visible() == []
    world.adt("A40", T2, person=world.pid("100"), mrg="200")
    assert [step.patient_key for step in world.visible()] == [world.patient("100").key]
    world.adt("A37", T3, person=world.pid("100") + world.pid("200"))
    assert world.visible() == []
    assert world.step("P1").patient_key == world.patient("200").key
    assert world.order("P1").patient_key == world.patient("200").key


def test_a_reversed_merge_judges_anew(world: World) -> None:
    world.adt("A04", T1, person=world.pid("200", **ROE))
    world.adt("A04", T1, person=world.pid("100"))
    world.orm("NW", person=world.pid("200"))
    world.adt("A40", T2, person=world.pid("100"), mrg="200")
    assert len(world.visible()) == 1
    world.adt("A40", T3, person=world.pid("200", **ROE), mrg="100")
    assert world.visible() == []
    assert world.order("P1").patient_key == world.patient("200").key


def test_an_a47_hides_what_another_person_had_ordered_under_the_new_number(world: World) -> None:
    world.adt("A04", T1)
    world.orm("NW", person=world.pid("900", **ROE))
    world.siu("S12", person=world.pid("900", **ROE))
    world.adt("A47", T2, person=world.pid("900"), mrg="100")
    key = world.patient("900").key
    assert [step.patient_key for step in world.steps()] == [key, key]
    assert world.visible() == []
    # The order was made under that number, so the number's ADT may still turn out to be wrong.
    world.adt("A08", T3, person=world.pid("900", **ROE))
    assert [step.key for step in world.visible()] == [world.step("P1").key]
