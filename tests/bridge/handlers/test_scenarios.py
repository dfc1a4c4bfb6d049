"""What hospitals really send: out of order, twice, under wrong numbers, half of it elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.bridge.model import PutStep

World = Any

T1, T2, T3, T4 = (f"2024010{day}100000" for day in range(1, 5))
LATER, LATEST = "20240111110000", "20240112120000"
OTHER = {"name": "ROE^RICHARD", "birth": "19500101"}


def starts(world: World) -> list[str]:
    return [step.start for step in world.visible()]


def test_a_change_that_overtakes_its_order(world: World) -> None:
    world.orm("XO", time=T2, start=LATER, code="CTCHEST^CT thorax^L", filler="F1")
    assert world.orm("NW", time=T1).notes == ["stale"]
    assert starts(world) == [LATER]
    step = world.step("P1")
    assert step.order_attributes["RequestedProcedureDescription"] == "CT thorax"
    # The cancellation that overtakes its order's change is the last word, too.
    world.orm("CA", time=T4)
    assert world.orm("XO", time=T3, start=LATEST).notes == ["stale"]
    assert world.visible() == []


def test_a_whole_day_sent_again(world: World) -> None:
    def day() -> None:
        world.adt("A04", T1)
        world.orm("NW", "P1", time=T1)
        world.orm("NW", "P2", time=T1, accession="A2", procedure="RP2")
        world.siu("S12", "AP1", T2, placer="P1", start=LATER)
        world.adt("A40", T2, person=world.pid(), mrg="200")
        world.orm("XO", "P2", time=T3, accession="A2", procedure="RP2", start=LATEST)
        world.orm("CA", "P2", time=T4, accession="A2", procedure="RP2")

    day()
    before = (world.steps(), world.orders())
    day()
    assert (world.steps(), world.orders()) == before
    assert starts(world) == [LATER]


def test_an_accession_used_again_for_another_patient(world: World) -> None:
    world.orm("NW", "P1", filler="F1", zds="1.2.3")
    result = world.orm("NW", "P2", filler="F2", person=world.pid("200", **OTHER))
    assert result.changes == ["created"]
    first, second = world.steps()
    assert (first.accession, first.requested_procedure_id) == ("A1", "RP1")
    assert (second.accession, second.requested_procedure_id) == ("A1", "RP1")
    assert first.study_uid != second.study_uid
    assert first.step_id != second.step_id
    # What is told of the one is not told of the other.
    world.orm("XO", "P2", filler="F2", zds="1.2.4", person=world.pid("200", **OTHER))
    world.orm("CA", "P2", filler="F2", person=world.pid("200", **OTHER))
    assert [(step.key, step.study_uid) for step in world.visible()] == [(first.key, "1.2.3")]


def test_an_order_number_used_again_for_another_patient(world: World) -> None:
    world.orm("NW", time=T1)
    world.orm("SC", status="CM", time=T2)
    result = world.orm("NW", time=T3, person=world.pid("200", **OTHER))
    assert result.notes == ["alarm"]
    # Nobody's finished examination changes, and nobody's order changes its patient.
    assert world.step("P1").status == "COMPLETED"
    assert world.step("P1").patient_key == world.patient("100").key


def test_a_change_and_a_cancel_by_another_patient_need_a_person(world: World) -> None:
    world.adt("A04", T1)
    world.adt("A04", T1, person=world.pid("200", **OTHER))
    world.orm("NW", time=T1)
    assert world.orm("XO", time=T2, start=LATER, person=world.pid("200", **OTHER)).notes == [
        "alarm"
    ]
    assert world.orm("CA", time=T3, person=world.pid("200", **OTHER)).notes == ["alarm"]
    step = world.step("P1")
    assert (step.held, step.status, step.start) == (True, "SCHEDULED", "20240105090000")
    assert step.patient_key == world.patient("100").key
    # Not the merge itself, but the next message about the order settles it.
    world.adt("A40", T3, person=world.pid(), mrg="200")
    world.orm("XO", time=T4, start=LATER, person=world.pid("200"))
    assert starts(world) == [LATER]


def test_orders_under_the_old_number_after_a_merge(world: World) -> None:
    world.adt("A04", T1)
    world.adt("A04", T1, person=world.pid("200"))
    world.orm("NW", "P1", person=world.pid("200"), time=T1)
    world.adt("A40", T2, person=world.pid(), mrg="200")
    key = world.patient("100").key
    assert world.orm("XO", "P1", person=world.pid("200"), time=T3, start=LATER).notes == [
        "resolved_alias"
    ]
    world.orm("NW", "P2", person=world.pid("200"), accession="A2", time=T3)
    world.siu("S12", "AP1", T3, placer="P2", person=world.pid("200"), start=LATEST)
    assert {step.patient_key for step in world.visible()} == {key}
    assert starts(world) == [LATER, LATEST]
    # The retired number is no other number of the survivor.
    assert [identifier.id for identifier in world.patient("100").identifiers] == ["100"]


@pytest.mark.parametrize("time", ["", T2])
def test_a_cancel_and_an_order_of_the_same_time(world: World, time: str) -> None:
    world.orm("NW", "P1", time=time)
    world.orm("CA", "P1", time=time)
    world.orm("NW", "P1", time=time)
    # The order in which they came is all there is: a cancel first may well have overtaken.
    world.orm("CA", "P2", time=time)
    world.orm("NW", "P2", time=time)
    assert world.visible() == []


def test_two_procedures_under_one_accession(world: World) -> None:
    world.orm("NW", "P1", procedure="RP1", zds="1.2.1")
    world.orm("NW", "P2", procedure="RP2", zds="1.2.2", code="MRHEAD^MR^L", modality="MR")
    world.orm("XO", "P2", procedure="RP2", zds="1.2.3", start=LATER, modality="MR")
    assert [(s.modality, s.study_uid, s.start) for s in world.visible()] == [
        ("CT", "1.2.1", "20240105090000"),
        ("MR", "1.2.3", LATER),
    ]
    world.orm("CA", "P1", procedure="RP1")
    assert [step.modality for step in world.visible()] == ["MR"]
    # The cancelled one's late change revives nothing and does not touch the other.
    world.orm("XO", "P1", procedure="RP1", zds="1.2.9")
    assert [step.study_uid for step in world.visible()] == ["1.2.3"]


def test_a_change_drops_one_of_two_steps_and_a_late_copy_of_the_order_comes(world: World) -> None:
    world.omi("NW", ipc=["S1", "S2"], time=T1)
    world.omi("XO", ipc=["S2"], time=T3)
    assert world.omi("NW", ipc=["S1", "S2"], time=T1).notes == ["stale"]
    assert [step.step_id for step in world.visible()] == ["S2"]
    # Holding and releasing the order brings nothing back either, nor does a status.
    for control, status in (("HD", ""), ("RL", ""), ("SC", "SC")):
        world.orm(control, status=status, time=T4)
    assert [step.step_id for step in world.visible()] == ["S2"]


def test_a_dropped_step_that_has_begun_ends_as_the_modality_says(world: World) -> None:
    world.omi("NW", ipc=["S1", "S2"])
    first, _ = world.steps("P1")
    first.status, first.status_source = type(first.status).STARTED, "mpps"
    world.state.apply([PutStep(first, "updated")])
    assert "alarm" in world.omi("XO", ipc=["S2"]).notes
    assert "alarm" in world.orm("CA").notes
    assert [(step.step_id, step.status) for step in world.steps("P1")] == [
        ("S1", "STARTED"),
        ("S2", "CANCELLED"),
    ]


@pytest.mark.parametrize("siu_first", [True, False])
def test_the_appointments_start_outlives_what_the_order_said_before(
    world: World, siu_first: bool
) -> None:
    messages = [
        lambda: world.orm("NW"),
        lambda: world.siu("S12", placer="P1", start=LATER, place="WARD7", station="CT2"),
    ]
    for message in reversed(messages) if siu_first else messages:
        message()
    # The order changes in something else and says its wish again.
    world.orm("XO", code="CTCHEST^CT thorax^L")
    step = world.step("P1")
    assert step.order_attributes["RequestedProcedureDescription"] == "CT thorax"
    assert (step.start, step.stations) == (LATER, ("CT2",))
    assert step.step_attributes["ScheduledProcedureStepLocation"] == "WARD7"
    assert step.step_attributes["ScheduledStationName"] == "CT 2"
    # A new wish counts, and so does the next appointment.
    world.orm("XO", start=LATEST)
    assert starts(world) == [LATEST]
    world.siu("S13", placer="P1", start=LATER)
    world.orm("XO", start=LATEST, code="CTCHEST^CT lung^L")
    assert starts(world) == [LATER]
    # The appointment's station was one for CT.
    world.orm("XO", start=LATEST, code="MRHEAD^MR^L", modality="MR")
    step = world.step("P1")
    assert (step.stations, step.step_attributes["ScheduledStationName"]) == (("MR1",), "MR 1")
    assert step.step_attributes["ScheduledProcedureStepLocation"] == "ROOM3"
    world.orm("XO", start=LATEST, code="US^US^L", modality="US")
    assert "ScheduledStationName" not in world.step("P1").step_attributes


def test_an_appointments_place_outlives_its_move(world: World) -> None:
    world.siu("S12", place="WARD7", station="CT2")
    world.siu("S13", start=LATER)
    step = world.step()
    assert (step.start, step.stations) == (LATER, ("CT2",))
    assert step.step_attributes["ScheduledProcedureStepLocation"] == "WARD7"


def test_a_station_that_the_order_named_outlives_a_change_that_names_none(world: World) -> None:
    ipc = "IPC|A1|RP1||S1|CT||||CT2\n"
    world.send(world.group_message("OMI^O23", world.group("NW") + ipc))
    assert world.step("P1").stations == ("CT2",)
    world.omi("XO", ipc=["S1"], start=LATER)
    assert (world.step("P1").start, world.step("P1").stations) == (LATER, ("CT2",))
    world.orm("XO", start=LATEST)
    assert (world.step("P1").start, world.step("P1").stations) == (LATEST, ("CT2",))


def test_a_merge_while_an_order_is_held(world: World) -> None:
    world.adt("A04", T1)
    world.adt("A04", T1, person=world.pid("200"))
    world.orm("NW", person=world.pid("200"), time=T1)
    world.orm("HD", person=world.pid("200"), time=T2)
    world.adt("A40", T2, person=world.pid(), mrg="200")
    assert world.visible() == []
    world.orm("RL", person=world.pid("100"), time=T3)
    assert [step.patient_key for step in world.visible()] == [world.patient("100").key]
    world.adt("A37", T4, person=world.pid() + world.pid("200"))
    assert [step.patient_key for step in world.visible()] == [world.patient("200").key]


def test_a_cancel_for_the_retired_number_reaches_the_order(world: World) -> None:
    world.adt("A04", T1, person=world.pid("200"))
    world.orm("NW", person=world.pid("200"), time=T1)
    world.adt("A40", T2, person=world.pid(), mrg="200")
    world.orm("CA", person=world.pid("200"), time=T3)
    assert world.visible() == []
    assert world.step("P1").status == "CANCELLED"
