"""A study is one patient's: what becomes of an order that names another patient's study."""

from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.bridge.handlers import Policy

World = Any

OTHER = {"name": "ROE^RICHARD", "birth": "19500101"}
UID = "1.2.3"


def of_other(world: World, kind: str, control: str, **more: Any) -> Any:
    """Send an order P2 of patient 200, with its study in ZDS-1 (orm) or IPC-3 (omi)."""
    more = {"accession": "A2", "procedure": "RP2", **more}
    ipc = ["S9"] if kind == "omi" else []
    groups = world.group(control, "P2", ipc=ipc, **more)
    message = {"orm": "ORM^O01", "omi": "OMI^O23"}[kind]
    text = world.group_message(message, groups)
    return world.send(text.replace(world.pid(), world.pid("200", **OTHER)))


def shown(world: World) -> list[str]:
    orders = {order.key: order.placer for order in world.orders()}
    return [orders[step.order_key] for step in world.visible()]


@pytest.mark.parametrize("kind", ["orm", "omi"])
def test_another_patients_study_hides_the_new_order(world: World, kind: str) -> None:
    world.orm("NW", zds=UID)
    result = of_other(world, kind, "NW", zds=UID)
    assert result.notes == ["alarm"]
    assert result.changes == ["created"]
    assert world.order("P2").disputed
    assert shown(world) == ["P1^HIS"]
    # Neither saying it again nor what does not name the study settles it.
    assert of_other(world, kind, "NW", zds=UID).notes[0] == "alarm"
    of_other(world, kind, "XO", start="20240106090000")
    of_other(world, kind, "HD")
    of_other(world, kind, "RL")
    assert shown(world) == ["P1^HIS"]
    # Its own study does.
    of_other(world, kind, "XO", zds="1.2.4")
    assert shown(world) == ["P1^HIS", "P2^HIS"]


@pytest.mark.parametrize("kind", ["orm", "omi"])
def test_another_patients_study_may_only_warn(world: World, kind: str) -> None:
    world.policy = Policy(patient_mismatch="warn")
    world.orm("NW", zds=UID)
    assert of_other(world, kind, "NW", zds=UID).notes == ["alarm"]
    assert shown(world) == ["P1^HIS", "P2^HIS"]


@pytest.mark.parametrize("kind", ["orm", "omi"])
def test_a_change_to_another_patients_study_hides_the_order(world: World, kind: str) -> None:
    world.orm("NW", zds=UID)
    of_other(world, kind, "NW")
    assert shown(world) == ["P1^HIS", "P2^HIS"]
    assert of_other(world, kind, "XO", zds=UID).notes == ["alarm"]
    assert shown(world) == ["P1^HIS"]


def test_another_patients_study_is_not_given_to_the_procedures_other_orders(world: World) -> None:
    person = world.pid("200", **OTHER)
    procedure = {"accession": "A2", "procedure": "RP2", "person": person}
    world.orm("NW", zds=UID)
    world.orm("NW", "P3", **procedure)
    of_other(world, "orm", "NW", zds=UID)
    world.orm("NW", "P4", **procedure)
    assert [step.study_uid for step in world.visible()].count(UID) == 1


def test_a_study_taken_while_its_order_was_held_stays_with_who_is_shown(world: World) -> None:
    world.orm("NW", zds=UID)
    world.orm("HD")
    of_other(world, "orm", "NW", zds=UID)
    assert world.orm("RL").notes == ["alarm"]
    assert shown(world) == ["P2^HIS"]


def test_one_patients_orders_may_share_a_study(world: World) -> None:
    world.orm("NW", zds=UID)
    assert world.orm("NW", "P2", accession="A2", procedure="RP2", zds=UID).notes == []
    assert shown(world) == ["P1^HIS", "P2^HIS"]
    assert {step.study_uid for step in world.visible()} == {UID}


def test_merged_patients_are_one(world: World) -> None:
    world.adt("A01", person=world.pid("200", **OTHER))
    world.orm("NW", zds=UID)
    of_other(world, "orm", "NW", zds=UID)
    assert shown(world) == ["P1^HIS"]
    world.adt("A40", "20240102100000", person=world.pid("200", **OTHER), mrg="100")
    assert of_other(world, "orm", "NW", zds=UID).notes == []
    assert shown(world) == ["P1^HIS", "P2^HIS"]
    assert of_other(world, "omi", "XO", zds=UID).notes == []
