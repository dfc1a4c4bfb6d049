"""Whatever comes in whatever order: what must never happen to an order or a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vitalbridge.bridge.handlers.identity import agree

from .plays import TIMES, Op, anything, crosswise, imaging, merges_of_two, mpps, orders, play

if TYPE_CHECKING:
    from collections.abc import Callable

World = Any

RANK = {
    "SCHEDULED": 0,
    "ARRIVED": 1,
    "READY": 2,
    "STARTED": 3,
    "DEPARTED": 4,
    "COMPLETED": 5,
    "CANCELLED": 5,
    "DISCONTINUED": 5,
}
CALLED_OFF = {"CANCELLED", "DISCONTINUED"}


def image(world: World) -> Any:
    """Return patients, orders and steps; whether a withdrawn step would be held tells nothing."""
    steps = world.steps()
    for step in steps:
        step.held = step.held and step.status not in CALLED_OFF
    return (
        [world.patient(number) for number in ("100", "200", "300")],
        sorted(world.orders(), key=lambda order: order.key),
        steps,
    )


def check_worklist(world: World) -> None:
    orders = {order.key: order for order in world.orders()}
    for step in world.visible():
        if step.order_key:
            order = orders[step.order_key]
            assert not order.tombstone
            assert not order.held
            assert not order.disputed
            assert order.status not in CALLED_OFF
            assert step.patient_key == order.patient_key
            if order.described:
                assert agree(world.state.patient(order.patient_key).attributes, order.described)
        assert len(step.step_id) <= 16
        assert step.study_uid
        assert step.modality
        assert step.start
    of_orders = [step for step in world.steps() if step.order_key]
    names = [(s.order_key, s.requested_procedure_id, s.step_id) for s in of_orders]
    assert len(names) == len(set(names))


def check_forward(before: dict[int, Any], world: World) -> None:
    now = {step.key: step for step in world.steps()}
    for key, old in before.items():
        if key not in now:
            assert old.order_key == 0
            continue
        new = now[key]
        assert new.order_key == old.order_key
        if old.status in CALLED_OFF and old.status_source in {"omitted", "appointment"}:
            continue
        if old.status in {"COMPLETED", *CALLED_OFF}:
            assert new.status == old.status
        assert RANK[new.status] >= RANK[old.status]
        if old.status_source == "mpps" and RANK[old.status] >= 3:
            assert (new.status, new.status_source) == (old.status, "mpps")
        if RANK[old.status] >= 3 and old.status not in CALLED_OFF:
            assert new.status != "CANCELLED"


@settings(max_examples=150, deadline=None)
@given(
    ops=st.lists(
        st.tuples(st.one_of(anything, anything, crosswise, mpps), st.sampled_from(["", *TIMES])),
        max_size=12,
    )
)
def test_nothing_goes_back_nor_gets_lost_nor_shows_what_was_called_off(
    new_world: Callable[[], World], ops: list[tuple[Op, str]]
) -> None:
    world = new_world()
    for op, time in ops:
        before = {step.key: step for step in world.steps()}
        orders = {order.key: order for order in world.orders()}
        play(world, op, time)
        check_forward(before, world)
        check_worklist(world)
        now = {order.key: order for order in world.orders()}
        assert orders.keys() <= now.keys()
        for key, order in orders.items():
            if order.status in CALLED_OFF and not order.tombstone:
                assert now[key].status == order.status
            if order.study_uid and RANK[order.status] >= 3:
                assert now[key].study_uid == order.study_uid


@settings(max_examples=100, deadline=None)
@given(
    ops=st.one_of(
        st.lists(st.one_of(orders, imaging), max_size=10),
        st.lists(merges_of_two, max_size=10),
    ),
    minutes=st.permutations(range(10, 20)),
)
def test_replaying_messages_with_times_changes_nothing(
    new_world: Callable[[], World], ops: list[Op], minutes: list[int]
) -> None:
    world = new_world()
    for op, minute in zip(ops, minutes, strict=False):
        play(world, op, f"2024010112{minute}00")
    once = image(world)
    for op, minute in zip(ops, minutes, strict=False):
        play(world, op, f"2024010112{minute}00")
    assert image(world) == once


# Which of two named studies an order gets, once one of them has begun, depends on what came first.
without_study = orders.map(lambda op: (*op[:-1], ""))


@settings(max_examples=100, deadline=None)
@given(ops=st.one_of(st.lists(without_study, max_size=8), st.lists(imaging, max_size=8)))
def test_replaying_messages_without_times_ends_where_it_was(
    new_world: Callable[[], World], ops: list[Op]
) -> None:
    world = new_world()
    for op in ops:
        play(world, op, "")
    once = image(world)
    for op in ops:
        play(world, op, "")
    assert image(world) == once


@settings(max_examples=100, deadline=None)
@given(op=anything, times=st.integers(1, 3), before=st.lists(anything, max_size=4))
def test_one_message_again_and_again_changes_nothing(
    new_world: Callable[[], World], op: Op, times: int, before: list[Op]
) -> None:
    world = new_world()
    for one in before:
        play(world, one, "")
    play(world, op, "")
    once = image(world)
    for _ in range(times):
        play(world, op, "")
    assert image(world) == once
