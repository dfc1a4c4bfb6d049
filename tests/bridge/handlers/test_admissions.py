from __future__ import annotations

from typing import Any

import pytest

World = Any


@pytest.mark.parametrize(
    "event",
    ["A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13", "A28", "A31"],
)
def test_every_event_makes_and_updates_a_patient(world: World, event: str) -> None:
    world.adt(event)
    assert world.patient("100").attributes["PatientName"] == "DOE^JOHN"
    assert not world.patient("100").provisional
    world.adt(event, person=world.pid(name="DOE^JANE", sex="F"))
    assert world.patient("100").attributes["PatientName"] == "DOE^JANE"
    assert world.patient("100").attributes["PatientSex"] == "F"


def test_empty_is_unchanged_and_null_deletes(world: World) -> None:
    world.adt("A01")
    world.adt("A08", person=world.pid(name="", birth='""', sex=""))
    attributes = world.patient("100").attributes
    assert attributes["PatientName"] == "DOE^JOHN"
    assert attributes["PatientSex"] == "M"
    assert "PatientBirthDate" not in attributes


def test_the_same_again_has_no_effect(world: World) -> None:
    world.adt("A01", "20240101")
    again = world.adt("A08", "20240101")
    assert again.notes == ["no_effect"]
    assert not again.has_effect


def test_an_older_event_of_the_same_sender_is_stale(world: World) -> None:
    world.adt("A08", "20240102120000")
    stale = world.adt("A08", "20240101120000", person=world.pid(name="OLD^NAME"))
    assert stale.notes == ["stale"]
    assert not stale.has_effect
    assert world.patient("100").attributes["PatientName"] == "DOE^JOHN"


def test_clocks_of_two_senders_are_not_compared(world: World) -> None:
    world.adt("A08", "20240102120000")
    world.adt("A08", "20240101120000", person=world.pid(name="NEW^NAME"), sender="OTHER")
    assert world.patient("100").attributes["PatientName"] == "NEW^NAME"


@pytest.mark.parametrize("time", ["20240102120000", "", "20240102"])
def test_equal_missing_and_coarser_times_go_by_arrival(world: World, time: str) -> None:
    world.adt("A08", "20240102120000")
    world.adt("A08", time, person=world.pid(name="NEW^NAME"))
    assert world.patient("100").attributes["PatientName"] == "NEW^NAME"
    # The finer time stays the newest.
    assert world.adt("A08", "20240102110000").notes == ["stale"]


def test_without_evn_2_the_header_tells_the_time(world: World) -> None:
    newer = world.adt("A08").effects
    assert newer
    text = "MSH|^~\\&|HIS|HOSPITAL|PB|RAD|{}||ADT^A08|1|P|2.5.1\nEVN|A08\n"
    world.send(text.format("20240102") + world.pid(name="NEW^NAME"))
    assert world.send(text.format("20240101") + world.pid(name="OLD^NAME")).notes == ["stale"]


def test_offsets_are_taken_at_their_word(world: World) -> None:
    world.source_timezone = "Europe/Vienna"
    world.adt("A08", "20240701120000")  # 10:00 UTC
    assert world.adt("A08", "20240701115500+0100", person=world.pid(name="B")).notes == []
    assert world.adt("A08", "20240701125000+0300", person=world.pid(name="C")).notes == ["stale"]


def test_the_hour_that_the_clock_shows_twice_is_no_evidence(world: World) -> None:
    world.source_timezone = "Europe/Vienna"
    world.adt("A08", "20231029025500")
    world.adt("A08", "20231029020500", person=world.pid(name="LATER^NAME"))
    assert world.patient("100").attributes["PatientName"] == "LATER^NAME"
    assert world.adt("A08", "20231028225500").notes == ["stale"]


def test_a_patient_is_found_by_any_identifier(world: World) -> None:
    world.adt("A01", person=world.pid("100^^^HOSP^MR~77^^^NAT^NI"))
    world.adt("A08", person=world.pid("77^^^NAT^NI", name="DOE^JANE"))
    assert world.patient("100").attributes["PatientName"] == "DOE^JANE"
    world.adt("A08", person=world.pid("5^^^CLINIC^MR~77^^^NAT^NI"))
    assert world.patient("5", "CLINIC").key == world.patient("100").key
    assert world.patient("100").identifiers[0].id == "100"


def test_an_empty_issuer_is_the_default_one(world: World) -> None:
    world.adt("A01", person=world.pid("100^^^^MR"))
    assert world.patient("100", "HOSP") is not None


def test_identifiers_of_two_patients_are_a_conflict(world: World) -> None:
    world.adt("A01", person=world.pid("100^^^HOSP^MR"))
    world.adt("A01", person=world.pid("77^^^NAT^NI", name="ROE^RICHARD"))
    result = world.adt("A08", person=world.pid("100^^^HOSP^MR~77^^^NAT^NI", name="DOE^JANE"))
    assert "alarm" in result.notes
    assert world.patient("100").attributes["PatientName"] == "DOE^JANE"
    assert world.patient("77", "NAT").attributes["PatientName"] == "ROE^RICHARD"


def test_one_issuer_does_not_number_a_person_twice(world: World) -> None:
    world.adt("A01", person=world.pid("100^^^HOSP^MR~77^^^NAT^NI"))
    result = world.adt("A01", person=world.pid("200^^^HOSP^MR~77^^^NAT^NI", name="ROE^RICHARD"))
    assert "alarm" in result.notes
    assert world.patient("100").attributes["PatientName"] == "DOE^JOHN"
    assert world.patient("200").attributes["PatientName"] == "ROE^RICHARD"


def test_without_an_identifier_it_cannot_be_applied(world: World) -> None:
    result = world.adt("A01", person="PID|1||||DOE^JOHN\n")
    assert (result.refused.code, result.refused.location) == (101, "PID^1^3")


def test_an_adt_makes_a_provisional_patient_real(world: World) -> None:
    world.orm("NW", person=world.pid(name="DOE", sex=""))
    assert world.patient("100").provisional
    world.adt("A04", person=world.pid("9^^^MAIN^MR~100^^^HOSP^MR", name="DOE^JOHN^A"))
    patient = world.patient("100")
    assert not patient.provisional
    assert patient.attributes["PatientName"] == "DOE^JOHN^A"
    assert world.step("P1").patient_key == patient.key


def test_another_person_behind_a_provisional_patient_alarms(world: World) -> None:
    world.orm("NW", person=world.pid(name="DOE^JOHN", birth="19800115"))
    result = world.adt("A04", person=world.pid(name="ROE^RICHARD", birth="19500101"))
    assert result.notes == ["alarm"]
