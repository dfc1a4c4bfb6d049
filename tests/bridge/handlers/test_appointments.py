from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.bridge.handlers import Policy

World = Any

T1, T2, T3 = "20240101100000", "20240102100000", "20240103100000"
LATER = "20240111110000"


def test_an_appointment_moves_the_step_of_its_order(world: World) -> None:
    world.orm("NW")
    before = world.step("P1")
    result = world.siu("S12", placer="P1", status="Arrived", place="WARD7")
    assert result.changes == ["updated"]
    step = world.step()
    assert (step.key, step.step_id, step.study_uid) == (
        before.key,
        before.step_id,
        before.study_uid,
    )
    assert (step.start, step.status) == ("20240110100000", "ARRIVED")
    assert step.step_attributes["ScheduledProcedureStepLocation"] == "WARD7"
    assert step.stations == ("CT1", "CT2")
    assert step.appointment.startswith("AP1")
    world.siu("S13", placer="P1", start=LATER, station="CT2")
    assert (world.step().start, world.step().stations) == (LATER, ("CT2",))
    assert world.step().status == "ARRIVED"


def test_the_filler_number_finds_the_order_too(world: World) -> None:
    world.orm("NW", filler="F1")
    world.siu("S12", filler="F1")
    assert world.step().start == "20240110100000"


def test_stations_that_only_the_rules_know_do_not_replace_the_orders(world: World) -> None:
    world.omi("NW", ipc=["S1"])
    text = world.step("P1")
    text.stations = ("CT2",)
    from vitalbridge.bridge.model import PutStep

    world.state.apply([PutStep(text, "updated")])
    world.siu("S12", placer="P1")
    assert world.step().stations == ("CT2",)


@pytest.mark.parametrize("event", ["S15", "S17", "S26"])
def test_a_cancelled_appointment_hides_its_step_until_the_next(world: World, event: str) -> None:
    world.orm("NW")
    world.siu("S12", "AP1", T1, placer="P1")
    assert world.siu(event, "AP1", T2, placer="P1").changes == ["cancelled"]
    assert world.step().status == "CANCELLED"
    assert world.order("P1").status == "SCHEDULED"
    # The same appointment, late, does not bring it back; another one does.
    world.siu("S12", "AP1", T1, placer="P1")
    world.siu("S12", "AP1", T2, placer="P1")
    assert world.visible() == []
    world.siu("S12", "AP2", T2, placer="P1", start=LATER)
    assert [step.start for step in world.visible()] == [LATER]
    # What belongs to the second appointment is not the first one's any more.
    assert not world.siu("S15", "AP1", T3, placer="P1").changes
    assert len(world.visible()) == 1


def test_a_cancelled_order_has_no_appointment(world: World) -> None:
    world.orm("NW")
    world.siu("S12", "AP1", placer="P1")
    world.siu("S15", "AP1", placer="P1")
    world.orm("CA")
    world.siu("S12", "AP2", placer="P1")
    world.siu("S14", "AP1", T3)
    assert world.visible() == []


def test_a_noshow_after_the_start_alarms(world: World) -> None:
    world.orm("NW", status="IP")
    result = world.siu("S26", placer="P1")
    assert "alarm" in result.notes
    assert world.step().status == "STARTED"


def test_a_status_in_any_case(world: World) -> None:
    world.orm("NW")
    world.siu("S14", placer="P1", status="STARTED")
    assert world.step().status == "STARTED"
    world.siu("S14", placer="P1", status="complete")
    assert world.step().status == "COMPLETED"
    world.siu("S14", placer="P1", status="Booked", start=LATER)
    assert world.step().status == "COMPLETED"


def test_without_an_order_there_is_an_entry(world: World) -> None:
    result = world.siu("S12", placer="P1", place="WARD7")
    assert result.changes == ["created"]
    entry = world.step()
    assert entry.order_key == 0
    assert (entry.modality, entry.stations) == ("CT", ("CT1", "CT2"))
    assert (entry.start, entry.status) == ("20240110100000", "SCHEDULED")
    assert 0 < len(entry.step_id) <= 16
    assert entry.requested_procedure_id
    assert entry.study_uid
    assert world.patient("100").provisional
    world.siu("S13", start=LATER)
    assert (world.step().key, world.step().start) == (entry.key, LATER)
    assert world.siu("S13", start=LATER).notes == ["no_effect"]
    world.siu("S15")
    assert world.visible() == []


def test_an_entry_is_absorbed_when_its_order_arrives(world: World) -> None:
    world.siu("S12", placer="P1", status="Arrived", place="WARD7", station="CT2")
    entry = world.step()
    world.orm("NW")
    step = world.step()
    assert step.order_key == world.order("P1").key
    assert (step.start, step.status, step.stations) == ("20240110100000", "ARRIVED", ("CT2",))
    assert step.step_attributes["ScheduledProcedureStepLocation"] == "WARD7"
    assert (step.accession, step.requested_procedure_id) == ("A1", "RP1")
    assert step.study_uid == entry.study_uid
    # Later messages about the appointment find it without the order's number.
    world.siu("S13", start=LATER)
    assert world.step().start == LATER


def test_a_named_station_outlives_an_unresolved_modality(new_world: Any) -> None:
    told = {"placer": "P1", "station": "CT2", "code": "ODD^Odd^L"}
    before, after = new_world(), new_world()
    before.siu("S12", **told)
    assert (before.step().modality, before.step().modality_unmapped) == ("OT", True)
    before.orm("NW")
    after.orm("NW")
    after.siu("S12", **told)
    step = before.step()
    assert (step.modality, step.modality_unmapped, step.stations) == ("CT", False, ("CT2",))
    assert step.stations == after.step().stations
    for keyword in ("ScheduledStationName", "ScheduledProcedureStepLocation"):
        assert step.step_attributes.get(keyword) == after.step().step_attributes.get(keyword)
    assert step.step_attributes["ScheduledProcedureStepLocation"] == "ROOM2"


def test_a_station_named_for_another_modality_is_not_the_orders(world: World) -> None:
    world.siu("S12", placer="P1", station="MR1", code="MRHEAD^MR head^L")
    world.orm("NW")
    assert (world.step().modality, world.step().stations) == ("CT", ("CT1", "CT2"))


def test_a_cancelled_entry_keeps_its_order_off_until_rebooked(world: World) -> None:
    world.siu("S12", placer="P1")
    world.siu("S15", placer="P1")
    world.orm("NW")
    assert world.visible() == []
    world.siu("S12", "AP2", placer="P1")
    assert len(world.visible()) == 1


def test_an_entry_whose_order_was_cancelled_before_it_came_goes(world: World) -> None:
    world.siu("S12", placer="P1")
    world.orm("CA")
    assert world.visible() == []
    world.orm("NW")
    world.siu("S14", T3, placer="P1")
    assert world.visible() == []


def test_an_entry_that_names_its_order_late_gives_way(world: World) -> None:
    world.orm("NW")
    world.siu("S12", status="Arrived")
    assert len(world.steps()) == 2
    world.siu("S14", placer="P1", start=LATER)
    step = world.step()
    assert (step.start, step.status) == (LATER, "ARRIVED")


def test_an_unknown_appointment_that_is_called_off_stays_away(world: World) -> None:
    assert world.siu("S15").changes == ["cancelled"]
    world.siu("S12")
    assert world.visible() == []


def test_a_reschedule_of_an_unknown_appointment_makes_it(world: World) -> None:
    world.siu("S13", code="ODD^Odd^L", start="")
    entry = world.step()
    assert (entry.modality, entry.modality_unmapped) == ("OT", True)


def test_several_services_are_several_entries(world: World) -> None:
    text = [
        "MSH|^~\\&|HIS|H|PB|RAD|||SIU^S12|1|P|2.5.1",
        "SCH||AP1",
        world.pid().strip(),
        "RGS|1",
        "AIS|1|A|CTCHEST^CT^L|20240110100000",
        "RGS|2",
        "AIS|1|A|MRHEAD^MR^L|20240110110000",
    ]
    world.send("\n".join(text))
    assert [step.modality for step in world.steps()] == ["CT", "MR"]
    assert len({step.study_uid for step in world.steps()}) == 1
    world.send("\n".join(text[:5]).replace("S12", "S14"))
    assert [step.modality for step in world.visible()] == ["CT"]


def test_an_older_message_is_stale(world: World) -> None:
    world.siu("S12", time=T2)
    assert world.siu("S13", time=T1, start=LATER).notes == ["stale"]
    assert world.step().start == "20240110100000"


def test_the_orders_own_times_are_not_those_of_appointments(world: World) -> None:
    world.orm("NW", time=T1)
    world.siu("S12", time=T3, placer="P1")
    # Entered before the appointment was made, changed after it.
    assert world.orm("XO", time=T2, start=LATER).changes == ["updated"]
    assert world.step().start == LATER


def test_an_older_one_than_what_the_order_said_is_stale(world: World) -> None:
    world.orm("NW", time=T2)
    assert world.siu("S12", time=T1, placer="P1").notes == ["stale"]
    assert world.step().start == "20240105090000"


def test_another_patients_appointment_is_not_applied(world: World) -> None:
    world.orm("NW")
    result = world.siu("S12", placer="P1", person=world.pid("200", name="ROE^R"))
    assert result.notes == ["alarm"]
    assert world.step().start == "20240105090000"


def test_an_entry_of_another_patient_is_not_absorbed(world: World) -> None:
    world.siu("S12", placer="P1", person=world.pid("200", name="ROE^R"))
    assert "alarm" in world.orm("NW").notes
    assert world.step("P1").start == "20240105090000"
    assert len(world.steps()) == 2


def test_a_mismatch_holds_the_entry(world: World) -> None:
    world.adt("A01")
    world.siu("S12", person=world.pid(name="ROE^R", sex="F"))
    assert world.visible() == []
    world.siu("S14")
    assert len(world.visible()) == 1
    world.policy = Policy(patient_mismatch="warn")
    assert "warning" in world.siu("S12", "AP2", person=world.pid(name="ROE^R", sex="F")).notes
    assert len(world.visible()) == 2


def test_sch_needs_a_number(world: World) -> None:
    text = "MSH|^~\\&|HIS|H|PB|RAD|||SIU^S12|1|P|2.5.1\nSCH|\n" + world.pid()
    assert world.send(text).refused.location == "SCH^1^1"


def test_a_held_order_stays_hidden_when_it_is_moved(world: World) -> None:
    world.orm("NW")
    world.orm("HD")
    world.siu("S12", placer="P1")
    assert world.visible() == []
    assert world.step().start == "20240110100000"


def test_a_hold_while_the_appointment_is_cancelled_counts(world: World) -> None:
    world.orm("NW")
    world.siu("S15", "AP1", placer="P1")
    world.orm("HD")
    world.siu("S12", "AP2", placer="P1")
    assert world.visible() == []
    world.orm("RL")
    assert len(world.visible()) == 1


def test_an_entry_that_has_begun_still_learns_its_order(world: World) -> None:
    world.siu("S12", status="Started")
    world.siu("S14", placer="P1", status="Booked")
    world.orm("NW")
    assert world.step().status == "STARTED"
    assert world.step().order_key == world.order("P1").key
