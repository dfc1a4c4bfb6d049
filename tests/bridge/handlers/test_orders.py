from __future__ import annotations

from typing import Any

import msgspec
import pytest

from vitalbridge.bridge.handlers import Policy
from vitalbridge.bridge.handlers.steps import generated_step_id
from vitalbridge.translate import short_id

World = Any

T1, T2, T3 = "20240101100000", "20240102100000", "20240103100000"


@pytest.mark.parametrize("control", ["NW", "RO"])
def test_a_new_order_makes_a_step(world: World, control: str) -> None:
    result = world.orm(control, filler="F1")
    assert result.changes == ["created"]
    order, step = world.order("P1"), world.step("P1")
    assert (order.placer, order.filler) == ("P1^HIS", "F1^RIS")
    assert (step.accession, step.requested_procedure_id) == ("A1", "RP1")
    assert (step.start, step.modality, step.status) == ("20240105090000", "CT", "SCHEDULED")
    assert step.stations == ("CT1", "CT2")
    assert step.order_attributes["RequestedProcedureDescription"] == "CT chest"
    assert step.study_uid == order.study_uid
    assert step.study_uid.startswith("2.25.")
    assert len(step.study_uid) <= 64
    assert step.patient_key == world.patient("100").key
    assert world.visible() == [step]


def test_an_order_makes_a_provisional_patient_and_fills_gaps(world: World) -> None:
    world.orm("NW", person=world.pid(birth="", sex=""))
    assert world.patient("100").provisional
    world.orm("NW", "P2", person=world.pid("100^^^HOSP^MR~7^^^NAT^NI", name="DOE^OTHER", birth=""))
    patient = world.patient("100")
    assert patient.attributes["PatientName"] == "DOE^JOHN"
    assert patient.attributes["PatientSex"] == "M"
    assert world.patient("7", "NAT").key == patient.key


def test_an_order_never_overwrites_adt(world: World) -> None:
    world.adt("A01", person=world.pid(birth=""))
    world.orm("NW", person=world.pid("100^^^HOSP^MR~101^^^HOSP^MR", name='""', sex="F"))
    patient = world.patient("100")
    assert patient.attributes["PatientName"] == "DOE^JOHN"
    assert patient.attributes["PatientSex"] == "M"
    assert patient.attributes["PatientBirthDate"] == "19800115"
    assert not patient.provisional
    assert [identifier.id for identifier in patient.identifiers] == ["100"]


MISMATCH = {"name": "ROE^JOHN", "birth": "19800116"}


def test_two_differences_hold_the_order(world: World) -> None:
    world.adt("A01")
    result = world.orm("NW", person=world.pid(**MISMATCH))
    assert result.notes == ["alarm"]
    assert world.step("P1").held
    assert world.visible() == []
    # The same order with the right patient shows it.
    world.orm("NW")
    assert not world.step("P1").held


def test_two_differences_may_only_warn(world: World) -> None:
    world.policy = Policy(patient_mismatch="warn")
    world.adt("A01")
    result = world.orm("NW", person=world.pid(**MISMATCH))
    assert result.notes == ["warning"]
    assert not world.step("P1").held


@pytest.mark.parametrize(
    "told",
    [{"name": "ROE^JOHN"}, {"birth": "19800116"}, {"sex": "F"}, {"name": "doe^J", "sex": "F"}],
)
def test_one_difference_is_none(world: World, told: dict[str, str]) -> None:
    world.adt("A01")
    assert world.orm("NW", person=world.pid(**told)).notes == []


def test_release_does_not_settle_a_mismatch(world: World) -> None:
    world.adt("A01")
    world.orm("NW", person=world.pid(**MISMATCH))
    world.orm("HD", person=world.pid(**MISMATCH))
    world.orm("RL", person=world.pid(**MISMATCH))
    assert world.step("P1").held
    world.orm("RL")
    assert not world.step("P1").held


def test_an_order_does_not_change_its_patient(world: World) -> None:
    world.orm("NW")
    result = world.orm("XO", person=world.pid("200", name="ROE^R"), code="MRHEAD^MR head^L")
    assert result.notes == ["alarm"]
    step = world.step("P1")
    assert step.patient_key == world.patient("100").key
    assert step.order_attributes["RequestedProcedureDescription"] == "CT chest"
    assert step.held
    world.orm("XO", start="20240106090000")
    assert not world.step("P1").held


def test_an_order_under_a_retired_number_resolves_to_the_survivor(world: World) -> None:
    world.adt("A01")
    world.adt("A40", T2, person=world.pid(), mrg="200")
    result = world.orm("NW", person=world.pid("200"))
    assert result.notes == ["resolved_alias"]
    assert world.step("P1").patient_key == world.patient("100").key


# Order control


@pytest.mark.parametrize("control", ["XO", "XX", "XR"])
def test_changes(world: World, control: str) -> None:
    world.orm("NW")
    uid = world.step("P1").study_uid
    result = world.orm(
        control, code="MRHEAD^MR head^L", modality="MR", start="20240106100000", filler="F9"
    )
    assert result.changes == ["updated"]
    step = world.step("P1")
    assert (step.modality, step.start, step.stations) == ("MR", "20240106100000", ("MR1",))
    assert step.order_attributes["RequestedProcedureDescription"] == "MR head"
    assert step.study_uid == uid
    assert world.order("P1").filler == "F9^RIS"


def test_what_a_change_leaves_out_stays(world: World) -> None:
    world.orm("NW", filler="F1")
    before = world.step("P1")
    world.orm("XO", accession="", procedure="", start="", modality="", code="")
    after = world.step("P1")
    assert (after.accession, after.requested_procedure_id) == ("A1", "RP1")
    assert (after.start, after.modality, after.stations) == (
        before.start,
        before.modality,
        before.stations,
    )
    assert after.step_id == before.step_id
    assert world.order("P1").accession == "A1"


def test_the_first_start_is_not_replaced_by_an_assumed_one(world: World) -> None:
    world.orm("NW")
    world.orm("NW", start="", code="CTCHEST^CT thorax^L")
    assert world.step("P1").start == "20240105090000"


@pytest.mark.parametrize(
    ("control", "status"),
    [
        *((control, "CANCELLED") for control in ("CA", "OC", "CR", "RP", "RU")),
        *((control, "DISCONTINUED") for control in ("DC", "OD", "DR")),
    ],
)
def test_calling_off(world: World, control: str, status: str) -> None:
    world.orm("NW")
    result = world.orm(control)
    assert result.changes == ["cancelled"]
    assert world.step("P1").status == world.order("P1").status == status
    assert world.visible() == []


@pytest.mark.parametrize("control", ["HD", "OH", "HR"])
@pytest.mark.parametrize("release", ["RL", "OE", "OR"])
def test_hold_hides_and_release_shows(world: World, control: str, release: str) -> None:
    world.orm("NW")
    world.orm(control)
    assert world.visible() == []
    assert world.orm(control).notes == ["no_effect"]
    world.orm("XO", start="20240107")
    assert world.visible() == []
    world.orm(release)
    assert [step.start for step in world.visible()] == ["20240107"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("IP", "STARTED"), ("CM", "COMPLETED"), ("CA", "CANCELLED"), ("DC", "DISCONTINUED")],
)
@pytest.mark.parametrize("control", ["NW", "XO", "SC"])
def test_orc_5_refines(world: World, control: str, status: str, expected: str) -> None:
    world.orm("NW")
    world.orm(control, status=status)
    assert world.step("P1").status == world.order("P1").status == expected


def test_orc_5_hd_holds(world: World) -> None:
    world.orm("NW", status="HD")
    assert world.step("P1").held
    world.orm("NW", "P2", accession="A2")
    world.orm("SC", "P2", accession="A2", status="HD")
    assert world.step("P2").held
    world.orm("SC", "P2", accession="A2", status="SC")
    assert not world.step("P2").held


def test_orc_5_refines_nothing_else(world: World) -> None:
    world.orm("NW")
    world.orm("HD", status="CM")
    assert world.step("P1").status == "SCHEDULED"
    world.orm("CA", status="IP")
    assert world.step("P1").status == "CANCELLED"


@pytest.mark.parametrize("status", ["", "A", "ZZ"])
def test_sc_without_a_known_status_has_no_effect(world: World, status: str) -> None:
    world.orm("NW")
    result = world.orm("SC", status=status)
    assert result.notes == ["no_effect"]
    assert not result.has_effect


@pytest.mark.parametrize("control", ["OK", "NA", "SS", "SN", "PR", "PA", "CH", "UA", "RE"])
def test_other_codes_of_the_table_have_no_effect(world: World, control: str) -> None:
    result = world.orm(control)
    assert result.notes == ["no_effect"]
    assert not result.has_effect
    assert world.patient("100") is None


def test_an_unknown_code_cannot_be_applied_nor_anything_beside_it(world: World) -> None:
    result = world.orm_of(world.group("NW"), world.group("QQ", "P2"))
    assert (result.refused.code, result.refused.location) == (103, "ORC^2^1")
    assert world.orders() == []


def test_without_a_number_it_cannot_be_applied(world: World) -> None:
    result = world.send(
        "MSH|^~\\&|HIS|H|PB|RAD|||ORM^O01|1|P|2.5.1\n" + world.pid() + "ORC|NW\nOBR|1|||CT^CT\n"
    )
    assert result.refused.code == 101


# Status goes forward only


@pytest.mark.parametrize("status", ["SC", "IP", "HD"])
def test_completed_stays_completed(world: World, status: str) -> None:
    world.orm("NW")
    world.orm("SC", status="CM")
    assert not world.orm("SC", status=status).changes
    world.orm("NW", start="20240109")
    assert world.step("P1").status == "COMPLETED"
    assert world.visible() == []


def test_a_late_cancel_is_not_applied_and_alarms(world: World) -> None:
    world.orm("NW")
    world.orm("SC", status="IP")
    for control in ("CA", "OC"):
        result = world.orm(control)
        assert result.notes == ["alarm"]
        assert not result.changes
    assert world.step("P1").status == world.order("P1").status == "STARTED"
    world.orm("SC", status="CM")
    assert world.orm("CA").notes == ["alarm"]
    assert world.orm("DC").notes == ["alarm"]
    assert world.step("P1").status == "COMPLETED"


def test_what_hl7_started_hl7_may_discontinue(world: World) -> None:
    world.orm("NW", status="IP")
    world.orm("DC")
    assert world.step("P1").status == "DISCONTINUED"


def test_mpps_outranks_hl7(world: World) -> None:
    world.orm("NW")
    world.set_by_mpps("P1", "STARTED")
    assert world.orm("SC", status="CM").notes == ["no_effect"]
    assert world.orm("CA").notes == ["alarm"]
    assert world.orm("DC").notes == ["alarm"]
    assert world.step("P1").status == "STARTED"
    assert world.step("P1").status_source == "mpps"
    assert world.order("P1").status == "SCHEDULED"
    # What else the order says is still of use.
    world.orm("XO", code="CTCHEST^CT thorax^L")
    assert world.step("P1").order_attributes["RequestedProcedureDescription"] == "CT thorax"


def test_a_step_that_mpps_gave_back_can_be_cancelled(world: World) -> None:
    world.orm("NW")
    world.set_by_mpps("P1", "SCHEDULED")
    world.orm("CA")
    assert world.step("P1").status == "CANCELLED"


def test_cancelled_stays_cancelled(world: World) -> None:
    world.orm("NW", time=T1)
    world.orm("CA", time=T2)
    assert world.orm("CA", time=T2).notes == ["no_effect"]
    assert world.orm("NW", time=T2).notes == ["no_effect"]
    assert world.orm("XO", time=T3, start="20240109").notes == ["no_effect"]
    assert world.orm("RL", time=T3).notes == ["no_effect"]
    assert world.orm("NW", time="20240104100000").notes == ["alarm"]
    assert world.visible() == []


def test_a_partly_begun_order_is_cancelled_as_far_as_it_goes(world: World) -> None:
    world.omi("NW", ipc=["S1", "S2"])
    (first, _) = world.steps("P1")
    started = type(first.status).STARTED
    first.status, first.status_source = started, "mpps"
    from vitalbridge.bridge.model import PutStep

    world.state.apply([PutStep(first, "updated")])
    result = world.orm("CA")
    assert result.notes == ["alarm"]
    assert [step.status for step in world.steps("P1")] == ["STARTED", "CANCELLED"]


# The same again, stale, unknown


def test_the_same_nw_again_has_no_effect(world: World) -> None:
    world.orm("NW")
    again = world.orm("NW")
    assert again.notes == ["no_effect"]
    assert not again.has_effect
    # Nor does a resend whose assumed start is the new message's time.
    text = (
        "MSH|^~\\&|HIS|H|PB|RAD|{}||ORM^O01|1|P|2.5.1\n"
        + world.pid()
        + world.group("NW", "P2", start="")
    )
    assert world.send(text.format("20240101100000")).changes == ["created"]
    assert "no_effect" in world.send(text.format("20240101110000")).notes
    assert world.step("P2").start == "20240101100000"


def test_a_different_nw_is_a_change(world: World) -> None:
    world.orm("NW")
    assert world.orm("NW", start="20240108").changes == ["updated"]
    assert world.step("P1").start == "20240108"


def test_an_older_order_message_is_stale(world: World) -> None:
    world.orm("NW", time=T1)
    world.orm("XO", time=T3, start="20240109")
    result = world.orm("XO", time=T2, start="20240108")
    assert result.notes == ["stale"]
    assert not result.has_effect
    assert world.orm("CA", time=T2).notes == ["stale"]
    assert world.step("P1").start == "20240109"
    assert world.orm("CA", time=T2, sender="OTHER").changes == ["cancelled"]


@pytest.mark.parametrize("time", ["", T1, T2])
def test_a_late_nw_does_not_resurrect_what_was_cancelled_before(world: World, time: str) -> None:
    result = world.orm("CA", time=T2)
    assert result.notes == ["warning"]
    assert world.order("P1").tombstone
    assert world.steps() == []
    world.orm("NW", time=time)
    world.orm("XO", time=time)
    assert world.steps() == []
    assert world.order("P1").status == "CANCELLED"


def test_only_a_newer_nw_of_the_same_sender_replaces_a_tombstone(world: World) -> None:
    world.orm("CA", time=T2)
    world.orm("NW", time=T3, sender="OTHER")
    assert world.visible() == []
    world.orm("NW", time=T3)
    assert len(world.visible()) == 1
    assert not world.order("P1").tombstone


@pytest.mark.parametrize("control", ["XO", "SC", "HD", "RL"])
def test_an_unknown_order_is_made_or_refused(world: World, control: str) -> None:
    world.policy = Policy(unknown_order="refuse")
    result = world.orm(control, status="IP")
    assert (result.refused.code, result.refused.location) == (204, "ORC^1^2")
    world.policy = Policy()
    world.orm(control, status="IP")
    assert world.step("P1").held == (control == "HD")


def test_an_unknown_order_made_by_a_change_has_start_and_modality(world: World) -> None:
    world.send(
        "MSH|^~\\&|HIS|H|PB|RAD|20240101100000||ORM^O01|1|P|2.5.1\n"
        + world.pid()
        + world.group("XO", start="", modality="", code="ODD^Odd^L")
    )
    step = world.step("P1")
    assert (step.start, step.modality, step.modality_unmapped) == ("20240101100000", "OT", True)


def test_the_numbers_that_come_later_are_kept(world: World) -> None:
    world.orm("NW")
    world.orm("SC", filler="F1", status="IP")
    assert world.order("P1").filler == "F1^RIS"
    world.orm("NW", "", filler="F1", status="CM")
    assert world.step("P1").status == "COMPLETED"


def test_namespaces_tell_numbers_apart(world: World) -> None:
    world.orm("NW")
    other = world.group("CA").replace("P1^HIS", "P1^CLINIC")
    world.orm_of(other)
    assert world.step("P1").status == "SCHEDULED"


def test_one_placer_order_may_be_several_filler_orders(world: World) -> None:
    world.orm("NW", filler="F1", accession="A1")
    world.orm("NW", filler="F2", accession="A2")
    assert len(world.steps()) == 2
    world.orm("CA", filler="F2")
    assert [step.accession for step in world.visible()] == ["A1"]
    # The placer's own number means all of them.
    world.orm("HD")
    assert world.visible() == []


# Studies, procedures, steps


def test_zds_is_honoured_also_on_a_change(world: World) -> None:
    world.orm("NW", zds="1.2.3.4")
    assert world.step("P1").study_uid == "1.2.3.4"
    world.orm("XO", start="20240109")
    assert world.step("P1").study_uid == "1.2.3.4"
    world.orm("XO", zds="1.2.3.5")
    assert world.step("P1").study_uid == world.order("P1").study_uid == "1.2.3.5"


def test_another_study_after_the_start_alarms(world: World) -> None:
    world.orm("NW", zds="1.2.3.4", status="IP")
    assert "alarm" in world.orm("XO", zds="1.2.3.5").notes
    assert world.step("P1").study_uid == world.order("P1").study_uid == "1.2.3.4"


def test_a_procedure_has_one_study(world: World) -> None:
    world.orm("NW", "P1")
    world.orm("NW", "P2")
    assert world.step("P1").study_uid == world.step("P2").study_uid
    world.orm("NW", "P3", procedure="RP2")
    assert world.step("P3").study_uid != world.step("P1").study_uid
    # A UID that one of them is told is told to all.
    world.orm("XO", "P2", zds="1.2.3.4")
    assert world.step("P1").study_uid == world.order("P1").study_uid == "1.2.3.4"
    assert world.step("P3").study_uid != "1.2.3.4"


def test_a_procedure_of_another_patient_is_another_one(world: World) -> None:
    world.orm("NW", "P1")
    world.orm("NW", "P2", person=world.pid("200", name="ROE^R"))
    assert world.step("P1").study_uid != world.step("P2").study_uid


def test_a_zds_holds_for_all_groups_unless_each_has_its_own(world: World) -> None:
    world.orm_of(world.group("NW", "P1"), world.group("NW", "P2", procedure="R2", zds="1.2.3"))
    assert {step.study_uid for step in world.steps()} == {"1.2.3"}
    world.orm_of(
        world.group("NW", "P3", accession="A3", zds="1.2.4"),
        world.group("NW", "P4", accession="A4", zds="1.2.5"),
    )
    assert (world.step("P3").study_uid, world.step("P4").study_uid) == ("1.2.4", "1.2.5")


def test_two_groups_with_one_accession_are_two_procedures(world: World) -> None:
    world.orm_of(
        world.group("NW", "P1", filler="F1", procedure=""),
        world.group("NW", "P2", filler="F2", procedure="", code="MRHEAD^MR^L", modality="MR"),
    )
    first, second = world.steps()
    assert first.accession == second.accession == "A1"
    assert first.requested_procedure_id != second.requested_procedure_id
    assert (first.modality, second.modality) == ("CT", "MR")
    assert first.study_uid != second.study_uid


def test_two_obr_after_one_orc_are_two_steps(world: World) -> None:
    obr = world.group("NW", code="MRHEAD^MR^L", modality="MR", procedure="RP2").split("\n", 1)[1]
    message = world.group("NW") + obr
    assert world.orm_of(message).changes == ["created", "created"]
    first, second = world.steps("P1")
    assert (first.requested_procedure_id, second.requested_procedure_id) == ("RP1", "RP2")
    assert first.step_id != second.step_id
    assert first.study_uid != second.study_uid
    assert world.orm_of(message).notes == ["no_effect"]
    moved = message.replace("20240105090000", "20240106090000")
    assert world.orm_of(moved).changes == ["updated", "updated"]
    assert {step.start for step in world.steps("P1")} == {"20240106090000"}


def test_generated_step_ids_are_short_stable_and_unique(world: World) -> None:
    obr = world.group("NW", modality="MR").split("\n", 1)[1]
    world.orm_of(world.group("NW") + obr)
    world.orm("NW", "P2")
    ids = [step.step_id for step in world.steps()]
    assert len(set(ids)) == 3
    assert all(0 < len(one) <= 16 for one in ids)
    world.orm_of(world.group("XO", start="20240106") + obr)
    assert [step.step_id for step in world.steps()] == ids
    assert len(generated_step_id(10**14 - 1, 998)) <= 16


def test_an_order_may_have_several_steps(world: World) -> None:
    assert world.omi("NW", ipc=["S1", "S2", "S2"]).changes == ["created", "created"]
    assert [step.step_id for step in world.steps("P1")] == ["S1", "S2"]
    assert len({step.study_uid for step in world.steps("P1")}) == 1
    world.orm("CA")
    assert {step.status for step in world.steps("P1")} == {"CANCELLED"}


def test_a_change_withdraws_the_steps_that_it_no_longer_names(world: World) -> None:
    world.omi("NW", ipc=["S1", "S2"])
    result = world.omi("XO", ipc=["S2", "S3"])
    assert sorted(result.changes) == ["cancelled", "created"]
    assert [step.step_id for step in world.visible()] == ["S2", "S3"]
    # A withdrawn step comes back when it is named again.
    world.omi("XO", ipc=["S1", "S2"])
    assert [step.step_id for step in world.visible()] == ["S1", "S2"]


def test_an_unnamed_step_among_named_ones_means_the_order(world: World) -> None:
    world.omi("NW", ipc=["S1", "S2"])
    result = world.orm("XO", code="CTCHEST^CT thorax^L")
    assert "warning" in result.notes
    assert [step.step_id for step in world.visible()] == ["S1", "S2"]
    descriptions = {
        step.order_attributes["RequestedProcedureDescription"] for step in world.steps()
    }
    assert descriptions == {"CT thorax"}


def test_a_step_that_has_begun_is_not_withdrawn(world: World) -> None:
    world.omi("NW", ipc=["S1"])
    world.set_by_mpps("P1", "STARTED")
    assert "alarm" in world.omi("XO", ipc=["S2"]).notes
    assert [step.step_id for step in world.visible()] == ["S1", "S2"]


def test_a_withdrawn_step_of_a_cancelled_order_stays_away(world: World) -> None:
    world.omi("NW", ipc=["S1", "S2"])
    world.omi("XO", ipc=["S2"])
    world.orm("CA")
    world.omi("XO", ipc=["S1", "S2"])
    assert world.visible() == []


def test_a_step_gets_its_name_late(world: World) -> None:
    world.orm("NW")
    key = world.step("P1").key
    world.omi("XO", ipc=["S1"])
    assert (world.step("P1").key, world.step("P1").step_id) == (key, "S1")
    # And a message that leaves the name out means it all the same.
    world.orm("XO", start="20240109")
    assert (world.step("P1").step_id, world.step("P1").start) == ("S1", "20240109")


def test_a_change_may_bring_another_accession(world: World) -> None:
    world.orm("NW")
    world.orm("XO", accession="A2")
    assert world.step("P1").accession == world.order("P1").accession == "A2"


def test_an_unmapped_procedure_keeps_a_known_modality_only_for_the_same_code(world: World) -> None:
    world.orm("NW", code="ODD^Odd^L")
    world.orm("NW", code="ODD^Odd^L", modality="", start="20240109")
    assert (world.step("P1").modality, world.step("P1").modality_unmapped) == ("CT", False)
    world.orm("NW", code="ELSE^Else^L", modality="")
    assert (world.step("P1").modality, world.step("P1").modality_unmapped) == ("OT", True)


def test_a_replaced_order_makes_room(world: World) -> None:
    world.orm("NW", "P1")
    world.orm_of(world.group("RP", "P1"), world.group("RO", "P2"))
    assert world.step("P1").status == "CANCELLED"
    assert [step.key for step in world.visible()] == [world.step("P2").key]


def test_a_replacement_under_the_same_numbers_is_a_change(world: World) -> None:
    world.orm("NW", "P1")
    world.orm_of(world.group("RU", "P1"), world.group("RO", "P1", start="20240109"))
    assert [step.start for step in world.visible()] == ["20240109"]


def test_an_operators_hiding_outlives_hold_and_release(world: World) -> None:
    from vitalbridge.bridge.model import PutStep

    world.orm("NW")
    step = world.step("P1")
    step.held, step.status_source = True, "operator"
    world.state.apply([PutStep(step, "updated")])
    world.orm("HD")
    world.orm("RL")
    world.orm("XO", start="20240109")
    assert world.step("P1").held


def test_an_unknown_message_type_is_refused_or_recorded(world: World) -> None:
    text = "MSH|^~\\&|HIS|H|PB|RAD|||MFN^M02|1|P|2.5.1\n"
    assert world.send(text).refused.code == 200
    world.policy = Policy(unknown_type="accept")
    assert world.send(text).notes == ["no_effect"]


def test_what_a_generated_id_stands_for_is_kept_and_found_again(world: World) -> None:
    world.rules = msgspec.structs.replace(world.rules, long_identifiers="generate")
    number = "ACCESSION-OF-2024/0000017"
    world.orm("NW", accession=number)
    order = world.order("P1")
    assert order.generated_ids == (("AccessionNumber", number),)
    assert order.accession == world.step("P1").accession == short_id(number)
    # The same number again is the same procedure, whoever orders.
    world.orm("NW", "P2", accession=number)
    assert world.step("P2").accession == order.accession
    assert world.step("P2").study_uid == order.study_uid
    # A message that does not name it leaves it; another long one comes beside it.
    world.orm("XO", accession="", start="20240109")
    assert world.order("P1").generated_ids == order.generated_ids
    world.orm("XO", accession=number, step="STEP-NUMBER-0000001")
    assert world.order("P1").generated_ids == (
        ("AccessionNumber", number),
        ("ScheduledProcedureStepID", "STEP-NUMBER-0000001"),
    )
    assert world.step("P1").step_id == short_id("STEP-NUMBER-0000001")
    assert world.orm("XO", accession=number, step="STEP-NUMBER-0000001").notes == ["no_effect"]
