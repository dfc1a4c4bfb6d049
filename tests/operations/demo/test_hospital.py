from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import islice

import pytest

from vitalbridge.hl7 import Hl7Error, Message
from vitalbridge.operations.demo.catalogue import MODALITY_ALIASES, PROCEDURES, STATIONS
from vitalbridge.operations.demo.garbage import BREAKAGES, END, START
from vitalbridge.operations.demo.hospital import BROKEN_LANE, Hospital, base36
from vitalbridge.operations.demo.messages import CLINIC
from vitalbridge.translate import (
    MappingRules,
    Station,
    appointment_from,
    check,
    orders_from,
    patient_from,
    patients_merged,
)

MORNING = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - the hospital's times are local
DAY = list(islice(Hospital(7, MORNING, faults=0.03).messages(), 6000))
RULES = MappingRules(
    modality_stations={
        modality: tuple(Station(s.ae_title, s.name, s.location) for s in stations)
        for modality, stations in STATIONS.items()
    },
    procedure_to_modality={
        p.code: MODALITY_ALIASES.get(p.modality, p.modality) for p in PROCEDURES
    },
)


def test_same_seed_and_start_same_bytes() -> None:
    again = list(islice(Hospital(7, MORNING, faults=0.03).messages(), 6000))
    assert again == DAY


@pytest.mark.parametrize(
    ("seed", "start"), [(8, MORNING), (7, MORNING + timedelta(seconds=1)), (7 + 36, MORNING)]
)
def test_another_seed_or_start_shares_no_number(seed: int, start: datetime) -> None:
    other = list(islice(Hospital(seed, start).messages(), 2000))
    assert {s.control_id for s in other}.isdisjoint(s.control_id for s in DAY)
    accessions = {s.scheduled.accession for s in other if s.scheduled}
    assert accessions
    assert accessions.isdisjoint(s.scheduled.accession for s in DAY if s.scheduled)


def test_control_ids_are_short_and_only_repeats_share_one() -> None:
    fresh = [s for s in DAY if not s.repeat]
    assert len({s.control_id for s in fresh}) == len(fresh)
    assert max(len(s.control_id) for s in DAY) <= 20  # HL7 v2.5.1 2.14.9.10: ST, length 20


def test_a_repeat_is_the_same_bytes_on_the_same_lane_later() -> None:
    first: dict[str, int] = {}
    repeats = 0
    for place, sending in enumerate(DAY):
        if sending.repeat:
            repeats += 1
            earlier = DAY[first[sending.control_id]]
            assert (earlier.frame, earlier.lane) == (sending.frame, sending.lane)
        elif sending.lane != BROKEN_LANE:
            first[sending.control_id] = place
    assert repeats > 20


def test_every_good_message_passes_the_check_and_translates() -> None:
    for sending in DAY:
        if sending.fault:
            continue
        message = Message(sending.message)
        assert check(message) == []
        assert message.control_id == sending.control_id
        assert message.message_type == sending.kind
        patient = patient_from(message, RULES)
        assert patient.identifiers[0].issuer == "HOSPITAL_MRN"
        assert patient.warnings == ()
        if sending.kind in ("ORM^O01", "OMG^O19", "OMI^O23"):
            for order in orders_from(message, RULES):
                assert order.warnings == ()
                assert len(order.accession) <= 16
                assert all(not step.modality_unmapped for step in order.steps)
        elif sending.kind.startswith("SIU"):
            appointment = appointment_from(message, RULES)
            assert appointment.warnings == ()
            assert appointment.placer
        elif sending.kind == "ADT^A40":
            assert len(patients_merged(message, RULES)) == 1


def test_what_is_scheduled_is_what_the_order_says() -> None:
    scheduled = [s for s in DAY if s.scheduled]
    assert len(scheduled) > 30
    for sending in scheduled:
        assert sending.scheduled is not None
        (order,) = orders_from(Message(sending.message), RULES)
        assert order.control == "NW"
        assert order.accession == sending.scheduled.accession
        for step in order.steps:
            assert step.modality == sending.scheduled.modality
            assert step.start == sending.scheduled.start
            assert set(step.stations) <= set(sending.scheduled.stations)


def test_the_day_has_everything() -> None:
    kinds = Counter(s.kind for s in DAY)
    assert set(kinds) == {
        *("ADT^A01", "ADT^A02", "ADT^A03", "ADT^A04", "ADT^A08", "ADT^A28", "ADT^A31", "ADT^A40"),
        *("ORM^O01", "OMG^O19", "OMI^O23", "SIU^S12", "SIU^S13", "SIU^S14", "SIU^S15"),
    }
    good = [Message(s.message) for s in DAY if not s.fault]
    assert {m.get("ORC-1") for m in good} == {"", "NW", "XO", "CA", "DC", "HD", "RL", "SC"}
    assert {m.sending_application for m in good} == {"HIS", "RIS", "CLINIC"}
    assert {m.get("MSH-18") for m in good} >= {
        *("", "8859/1", "8859/2", "8859/5", "8859/6", "8859/7", "8859/8", "UNICODE UTF-8"),
        *("", "GB 18030-2000", "KS X 1001"),
    }
    assert any(len(m.segments("IPC")) > 1 for m in good)
    assert {s.fault for s in DAY} == {"", *(breakage.name for breakage in BREAKAGES)}


def test_names_come_out_of_their_character_sets() -> None:
    names = {Message(s.message).get("PID-5.1") for s in DAY if not s.fault}
    assert {"Müller", "Wójcik", "Παπαδόπουλος", "Соколов", "כהן", "حداد", "Yamada", "Hong"} <= names
    ideographic = {Message(s.message).get("PID-5[2].1") for s in DAY if not s.fault}
    assert {"山田", "洪", "王"} <= ideographic


def test_orders_are_for_today_and_tomorrow() -> None:
    days = {s.scheduled.start[:8] for s in DAY if s.scheduled}
    assert days == {"20260302", "20260303"}


def test_late_in_the_evening_there_is_still_a_start_today() -> None:
    evening = datetime(2026, 3, 2, 23, 59)  # noqa: DTZ001
    orders = islice(Hospital(7, evening, pace=0.001).orders(), 300)
    assert "20260302" in {s.scheduled.start[:8] for s in orders if s.scheduled}


def test_a_day_later_the_orders_are_a_day_later() -> None:
    orders = list(islice(Hospital(7, MORNING, pace=24 * 3600 / 100).orders(), 250))
    last = orders[-1].scheduled
    assert last is not None
    assert last.start[:8] in ("20260304", "20260305")


def test_messages_of_one_lane_never_go_back_in_time() -> None:
    newest: dict[int, str] = {}
    for sending in DAY:
        if sending.fault or sending.repeat:
            continue
        time = Message(sending.message).get("MSH-7")
        assert time >= newest.get(sending.lane, "")
        newest[sending.lane] = time


def test_each_order_is_placed_before_anything_happens_to_it() -> None:
    placed = set()
    for sending in DAY:
        if sending.fault or sending.repeat or not sending.kind.startswith("O"):
            continue
        message = Message(sending.message)
        if message.get("ORC-1") == "NW":
            placed.add(message.get("ORC-2"))
        assert message.get("ORC-2") in placed


def test_without_finishing_no_examination_ends() -> None:
    day = islice(Hospital(7, MORNING, faults=0, finishing=False).messages(), 3000)
    assert "CM" not in {Message(s.message).get("ORC-5") for s in day if s.kind != "SIU^S12"}


def test_plain_orders_from_one_system() -> None:
    orders = list(islice(Hospital(7, MORNING).orders(CLINIC), 500))
    assert {s.kind for s in orders} == {"ORM^O01"}
    assert len({s.scheduled.accession for s in orders if s.scheduled}) == 500
    assert {Message(s.message).sending_application for s in orders} == {"CLINIC"}


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: str(breakage.name))
def test_a_broken_message_is_broken(breakage) -> None:  # type: ignore[no-untyped-def]
    good = next(Hospital(7, MORNING).orders()).message
    bad = breakage.change(good)
    assert bad != START + good + END
    if breakage.expected != "refused":
        return
    message = Message(bad.removeprefix(START).removesuffix(END))
    try:
        faults = check(message)
        assert message.text
    except Hl7Error:
        return
    assert faults or message.processing_id != "P" or message.version not in ("2.3.1", "2.5.1")


def test_base36_keeps_the_last_digits() -> None:
    assert [base36(n, 2) for n in (0, 35, 36, 1295, 1296)] == ["00", "0Z", "10", "ZZ", "00"]
