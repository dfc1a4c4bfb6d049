"""Random messages for the world: what hospitals send, and what they should not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

World = Any
Op = tuple[Any, ...]

TIMES = [f"2024010{day}120000" for day in range(1, 6)]

placers = st.sampled_from(["P1", "P2"])
starts = st.sampled_from(["20240105", "20240106", ""])
orders = st.tuples(
    st.just("orm"),
    st.sampled_from(
        ("NW", "NW", "RO", "XO", "XX", "SC", "CA", "OC", "RP", "DC", "OD", "HD", "OH", "RL", "OE"),
    ),
    placers,
    st.sampled_from(["", "SC", "IP", "CM", "CA", "DC", "HD"]),
    starts,
    st.sampled_from(["", "1.2.3"]),
)
imaging = st.tuples(
    st.just("omi"),
    st.sampled_from(["NW", "XO"]),
    placers,
    st.lists(st.sampled_from(["S1", "S2", "S3"]), min_size=1, max_size=3, unique=True),
    starts,
)
appointments = st.tuples(
    st.just("siu"),
    st.sampled_from(["S12", "S13", "S14", "S15", "S26"]),
    st.sampled_from(["AP1", "AP2"]),
    st.sampled_from(["", "P1", "P2"]),
    st.sampled_from(["Booked", "Arrived", "Started", "Complete", "Noshow"]),
    starts,
)
merges = st.tuples(
    st.just("adt"),
    st.sampled_from(["A08", "A40", "A40"]),
    st.permutations(["100", "200", "300"]),
)
# Among three, a late merge may be true of the chain and stale against what broke it since.
merges_of_two = st.tuples(
    st.just("adt"), st.sampled_from(["A08", "A40"]), st.permutations(["100", "200"])
)
anything = st.one_of(orders, orders, imaging, appointments, merges)
mpps = st.tuples(st.just("mpps"), placers, st.sampled_from(["STARTED", "COMPLETED"]))
# What no rule can foresee: numbers that change hands, orders under anybody's number or name.
persons = st.tuples(
    st.sampled_from(["100", "200", "300", "100^^^HOSP^MR~7^^^NAT^NI"]),
    st.sampled_from(["DOE^JOHN", "ROE^R"]),
    st.sampled_from(["19800115", "19500101"]),
)
crosswise = st.one_of(
    st.tuples(st.just("orm"), st.sampled_from(["NW", "XO", "CA", "HD"]), placers, persons),
    st.tuples(
        st.just("siu"), st.sampled_from(["S12", "S15"]), st.sampled_from(["", "P1"]), persons
    ),
    st.tuples(st.just("adt"), st.sampled_from(["A08", "A40", "A37", "A47"]), persons, persons),
)


def play(world: World, op: Op, time: str) -> Any:
    match op:
        case ("orm", control, placer, status, start, zds):
            return world.orm(control, placer, status=status, start=start, zds=zds, time=time)
        case ("omi", control, placer, ipc, start):
            return world.omi(control, placer, ipc=ipc, start=start, time=time)
        case ("siu", event, number, placer, status, start):
            return world.siu(event, number, time, placer=placer, status=status, start=start)
        case ("orm", control, placer, person):
            return world.orm(control, placer, time=time, person=world.pid(*person))
        case ("siu", event, placer, person):
            return world.siu(event, "AP1", time, placer=placer, person=world.pid(*person))
        case ("adt", "A08", person, _):
            return world.adt("A08", time, person=world.pid(*person))
        case ("adt", "A37", one, other):
            return world.adt("A37", time, person=world.pid(*one) + world.pid(*other))
        case ("adt", event, person, (number, _, _)):
            return world.adt(event, time, person=world.pid(*person), mrg=number[:3])
        case ("adt", "A08", numbers):
            return world.adt("A08", time, person=world.pid(numbers[0]))
        case ("adt", event, numbers):
            return world.adt(event, time, person=world.pid(numbers[0]), mrg=numbers[1])
        case ("mpps", placer, status):
            if any(order.placer == f"{placer}^HIS" for order in world.orders()):
                begin_open_steps(world, placer, status)
            return None
        case _:
            raise AssertionError(op)


def begin_open_steps(world: World, placer: str, status: str) -> None:
    """Do what a modality may do: begin, or finish, what is on its worklist."""
    if all(step.status in {"SCHEDULED", "ARRIVED"} for step in world.steps(placer)):
        world.set_by_mpps(placer, status)
