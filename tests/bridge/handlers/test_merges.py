from __future__ import annotations

from typing import Any

import pytest

World = Any

T1, T2, T3 = "20240101100000", "20240102100000", "20240103100000"


@pytest.fixture
def two(world: World) -> World:
    """A (100) and B (200), each with an order."""
    world.adt("A01", T1, person=world.pid("100", name="ALPHA^A"))
    world.adt("A01", T1, person=world.pid("200", name="BETA^B"))
    world.orm("NW", "PA", person=world.pid("100", name="ALPHA^A"), accession="AA", procedure="RA")
    world.orm("NW", "PB", person=world.pid("200", name="BETA^B"), accession="AB", procedure="RB")
    return world


def merge(world: World, surviving: str, retired: str, time: str = "", event: str = "A40") -> Any:
    return world.adt(event, time, person=f"PID|1||{surviving}^^^HOSP^MR\n", mrg=retired)


def owners(world: World) -> tuple[int, int]:
    return world.order("PA").patient_key, world.order("PB").patient_key


@pytest.mark.parametrize("event", ["A18", "A34", "A36", "A39", "A40"])
def test_everything_of_the_retired_belongs_to_the_survivor(two: World, event: str) -> None:
    a = two.patient("100").key
    merge(two, "100", "200", T2, event)
    assert two.patient("200").key == a
    assert owners(two) == (a, a)
    assert two.step("PB").patient_key == a
    assert two.patient("200").attributes["PatientName"] == "ALPHA^A"


def test_repeating_groups_merge_each(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    two.adt("A01", T1, person=two.pid("400", name="DELTA^D"))
    person = two.pid("100", name="ALPHA^A") + "MRG|200^^^HOSP^MR\n"
    person += two.pid("300", name="GAMMA^C") + "MRG|400^^^HOSP^MR\n"
    two.adt("A40", T2, person=person)
    assert two.patient("200").key == two.patient("100").key
    assert two.patient("400").key == two.patient("300").key
    assert two.patient("400").key != two.patient("100").key


def test_groups_of_one_message_see_each_other(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    person = two.pid("200", name="BETA^B") + "MRG|100^^^HOSP^MR\n"
    person += two.pid("300", name="GAMMA^C") + "MRG|200^^^HOSP^MR\n"
    two.adt("A40", T2, person=person)
    c = two.patient("300").key
    assert two.patient("100").key == two.patient("200").key == c
    assert owners(two) == (c, c)


def test_the_retired_number_is_matched_with_its_authority(two: World) -> None:
    two.adt("A40", T2, person=two.pid("100", name="ALPHA^A"), mrg="200^^^OTHER^MR")
    assert two.patient("200", "HOSP").key != two.patient("100").key
    assert two.patient("200", "OTHER").key == two.patient("100").key


@pytest.mark.parametrize("time", [T2, ""])
def test_a_repeat_does_nothing(two: World, time: str) -> None:
    merge(two, "100", "200", time)
    again = merge(two, "100", "200", time)
    assert "no_effect" in again.notes
    assert not again.has_effect


def test_a_reversed_newer_merge_swaps_the_survivor(two: World) -> None:
    a, b = two.patient("100").key, two.patient("200").key
    merge(two, "100", "200", T2)
    merge(two, "200", "100", T3)
    assert two.patient("100").key == two.patient("200").key == b
    assert owners(two) == (b, b)
    assert two.patient("100").attributes["PatientName"] == "BETA^B"
    # The first one again is stale, and nothing goes in circles.
    stale = merge(two, "100", "200", T2)
    assert "stale" in stale.notes
    assert not stale.has_effect
    merge(two, "100", "200", "20240104")
    assert two.patient("200").key == a


def test_an_older_reversed_merge_is_stale(two: World) -> None:
    merge(two, "100", "200", T3)
    result = merge(two, "200", "100", T2)
    assert "stale" in result.notes
    assert not result.has_effect
    assert two.patient("200").attributes["PatientName"] == "ALPHA^A"


def test_newer_demographics_do_not_make_a_merge_stale(two: World) -> None:
    two.adt("A08", T3, person=two.pid("100", name="ALPHA^NEW"))
    two.adt("A40", T2, person=two.pid("100", name="ALPHA^OLD"), mrg="200")
    assert two.patient("200").key == two.patient("100").key
    assert two.patient("100").attributes["PatientName"] == "ALPHA^NEW"


def test_a_merge_with_itself_cannot_be_applied(two: World) -> None:
    result = merge(two, "100", "100", T2)
    assert result.refused.code == 205
    assert result.refused.location == "MRG^1^1"


def test_a_merge_without_mrg_cannot_be_applied(two: World) -> None:
    assert two.adt("A40", T2).refused.code == 100


def test_an_unknown_retired_number_becomes_an_alias(world: World) -> None:
    world.adt("A40", T1, person=world.pid("100"), mrg="999")
    assert world.patient("999").key == world.patient("100").key
    assert not world.patient("100").provisional
    result = world.orm("NW", person=world.pid("999"))
    assert result.notes == ["resolved_alias"]
    assert world.step("P1").patient_key == world.patient("100").key


def test_chains_are_followed(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    merge(two, "200", "100", T1)
    merge(two, "300", "200", T2)
    assert two.patient("100").key == two.patient("200").key == two.patient("300").key
    # An alias as survivor means who it became.
    two.adt("A01", T1, person=two.pid("400", name="DELTA^D"))
    assert "resolved_alias" in merge(two, "100", "400", T3).notes
    assert two.patient("400").key == two.patient("300").key


def test_a_circle_cannot_be_closed(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    merge(two, "200", "100", "20240102")
    merge(two, "300", "200", "20240103")
    merge(two, "100", "300", "20240104")
    key = two.patient("100").key
    assert two.patient("200").key == two.patient("300").key == key
    assert two.patient("100").attributes["PatientName"] == "ALPHA^A"
    assert owners(two) == (key, key)


def test_what_was_merged_can_be_moved_to_another(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    merge(two, "100", "200", T2)
    result = merge(two, "300", "200", T3)
    assert "alarm" in result.notes
    assert two.patient("200").key == two.patient("300").key
    assert two.patient("100").key != two.patient("300").key
    assert owners(two) == (two.patient("100").key, two.patient("300").key)


def test_the_survivor_may_list_the_retired_number(two: World) -> None:
    two.adt("A40", T2, person=two.pid("100^^^HOSP^MR~5^^^NAT^NI", name="ALPHA^A"), mrg="200")
    assert two.patient("5", "NAT").key == two.patient("200").key == two.patient("100").key


def unlink(world: World, one: str, other: str, time: str) -> Any:
    return world.adt("A37", time, person=world.pid(one) + world.pid(other))


@pytest.mark.parametrize("order", [("100", "200"), ("200", "100")])
def test_a37_undoes_a_merge(two: World, order: tuple[str, str]) -> None:
    before = owners(two)
    merge(two, "100", "200", T2)
    unlink(two, *order, T3)
    assert owners(two) == before
    assert two.patient("200").attributes["PatientName"] == "BETA^B"
    assert two.patient("100").attributes["PatientName"] == "ALPHA^A"
    assert merge(two, "100", "200", T2).notes == ["stale"]
    assert unlink(two, *order, T3).notes == ["no_effect"]


def test_an_older_unlink_is_stale(two: World) -> None:
    merge(two, "100", "200", T3)
    assert unlink(two, "100", "200", T2).notes == ["stale"]


def test_patients_who_are_not_linked_stay_so(two: World) -> None:
    assert unlink(two, "100", "200", T2).notes == ["no_effect"]
    assert unlink(two, "100", "555", T2).notes == ["no_effect"]


def test_two_aliases_of_a_third_are_for_a_person(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    merge(two, "300", "100", T2)
    merge(two, "300", "200", T2)
    assert unlink(two, "100", "200", T3).notes == ["alarm"]


def test_a47_changes_the_number_and_frees_the_old_one(two: World) -> None:
    a = two.patient("100").key
    merge(two, "900", "100", T2, "A47")
    assert two.patient("900").key == a
    assert two.patient("900").identifiers[0].id == "900"
    assert two.patient("100") is None
    assert two.order("PA").patient_key == a
    assert two.patient("900").attributes["PatientName"] == "ALPHA^A"
    assert "no_effect" in merge(two, "900", "100", T2, "A47").notes
    # Whoever gets the old number is another person.
    two.adt("A01", T3, person=two.pid("100", name="NEW^ONE"))
    assert two.patient("100").key != a
    again = merge(two, "900", "100", T2, "A47")
    assert not again.has_effect
    assert again.refused is None


def test_a47_over_an_order_that_came_under_the_new_number(two: World) -> None:
    two.orm("NW", "PX", person=two.pid("900", name="ALPHA^A"), accession="AX")
    merge(two, "900", "100", T2, "A47")
    a = two.patient("900").key
    assert two.order("PA").patient_key == two.order("PX").patient_key == a
    assert two.patient("100") is None
    # The new number is the patient's own now, no alias.
    assert two.orm("NW", "PY", person=two.pid("900", name="ALPHA^A"), accession="AY").notes == []


def test_a47_to_the_number_of_a_real_patient_cannot_be_applied(two: World) -> None:
    result = merge(two, "200", "100", T2, "A47")
    assert (result.refused.code, result.refused.location) == (205, "PID^1^3")
    assert two.patient("100").key != two.patient("200").key


def test_a47_of_somebody_unheard_of_makes_them(world: World) -> None:
    world.adt("A47", T1, person=world.pid("900"), mrg="100")
    assert world.patient("900") is not None
    assert world.patient("100") is None


def test_an_older_a47_is_stale(two: World) -> None:
    merge(two, "900", "100", T3, "A47")
    assert merge(two, "901", "900", T2, "A47").notes == ["stale"]


def test_adt_under_a_retired_number_only_fills_gaps(two: World) -> None:
    merge(two, "100", "200", T2)
    result = two.adt("A08", T3, person=two.pid("200", name="BETA^B", more="STREET^^TOWN"))
    assert result.notes == ["resolved_alias"]
    assert two.patient("100").attributes["PatientName"] == "ALPHA^A"


def test_after_an_unlink_an_order_goes_with_the_number_it_came_under(two: World) -> None:
    merge(two, "100", "200", T2)
    two.orm("NW", "PC", person=two.pid("200", name="ALPHA^A"), accession="AC")
    two.siu("S12", "AP1", person=two.pid("200", name="ALPHA^A"))
    two.orm("NW", "PD", person=two.pid("100", name="ALPHA^A"), accession="AD")
    unlink(two, "100", "200", T3)
    a, b = two.patient("100").key, two.patient("200").key
    assert (two.order("PC").patient_key, two.step("PC").patient_key) == (b, b)
    assert (two.order("PD").patient_key, two.step("PD").patient_key) == (a, a)
    (entry,) = two.state.steps_of_appointment("AP1^HIS")
    assert entry.patient_key == b
    assert owners(two) == (a, b)
    result = two.orm("XO", "PC", person=two.pid("200", name="BETA^B"), accession="AC", zds="1.2.3")
    assert result.notes == []
    assert two.step("PC").study_uid == "1.2.3"


def test_an_order_held_for_its_alias_is_shown_by_the_unlink(two: World) -> None:
    beta = {"name": "BETA^B", "birth": "19500101"}
    two.adt("A08", T1, person=two.pid("200", **beta))
    merge(two, "100", "200", T2)
    two.orm("NW", "PC", person=two.pid("200", **beta), accession="AC")
    assert two.step("PC").held
    unlink(two, "100", "200", T3)
    assert not two.step("PC").held
    assert two.step("PC").patient_key == two.patient("200").key


def test_an_unlink_within_a_chain_takes_its_own_aliases_along(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    merge(two, "200", "100", T1)
    merge(two, "300", "200", T2)
    two.orm("NW", "PC", person=two.pid("100", name="GAMMA^C"), accession="AC")
    unlink(two, "300", "200", T3)
    b = two.patient("200").key
    assert two.patient("100").key == b != two.patient("300").key
    assert (two.order("PC").patient_key, two.step("PC").patient_key) == (b, b)
    # It came under the number of the first, who may leave the second as well.
    unlink(two, "200", "100", "20240104")
    assert two.order("PC").patient_key == two.patient("100").key != b


def test_moving_a_merged_patient_takes_along_what_came_since(two: World) -> None:
    two.adt("A01", T1, person=two.pid("300", name="GAMMA^C"))
    merge(two, "100", "200", T2)
    two.orm("NW", "PC", person=two.pid("200", name="ALPHA^A"), accession="AC")
    merge(two, "300", "200", T3)
    assert two.order("PC").patient_key == two.step("PC").patient_key == two.patient("300").key
    unlink(two, "300", "200", "20240104")
    assert two.order("PC").patient_key == two.patient("200").key


@pytest.mark.parametrize("pid3", ["200^^^HOSP^MR~100^^^HOSP^MR", "100^^^HOSP^MR~200^^^HOSP^MR"])
def test_pid_3_may_repeat_the_retired_number(two: World, pid3: str) -> None:
    a = two.patient("100").key
    assert two.adt("A40", T2, person=two.pid(pid3, name="ALPHA^A"), mrg="200").refused is None
    assert owners(two) == (a, a)
    assert two.patient("200").key == a
    assert [identifier.id for identifier in two.patient("100").identifiers] == ["100"]


def test_a47_may_repeat_the_old_number(two: World) -> None:
    a = two.patient("100").key
    person = two.pid("100^^^HOSP^MR~900^^^HOSP^MR", name="ALPHA^A")
    two.adt("A47", T2, person=person, mrg="100")
    assert (two.patient("900").key, two.patient("100")) == (a, None)
