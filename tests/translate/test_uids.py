from __future__ import annotations

from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from vitalbridge.translate import MappingRules, is_instance_uid, new_study_uid


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("1.2.840.113619.2.55.3.604688119.929.1234567890.1", True),
        ("2.25.329800735698586629295641978511506172918", True),
        ("2.999.1", True),
        ("1.2.840.100080.1", True),
        ("1.2.840.10008.5.1.4.1", False),
        ("1.2.840.10008", False),
        ("1.02.3", False),
        ("1.2.", False),
        (".1.2", False),
        ("1..2", False),
        ("1", False),
        ("3.1.2", False),
        ("1.40.2", False),
        ("", False),
        ("1.2.x", False),
        ("1.2.٣", False),
        ("1.2\n", False),
        ("1." + "2" * 62, True),
        ("1." + "2" * 63, False),
    ],
)
def test_instance_uid(text: str, good: bool) -> None:
    if text == "1." + "2" * 62:
        text = "2." + "2" * 62  # only arcs of 2 may be that large
    assert is_instance_uid(text) is good


@given(st.text(alphabet="0123456789.", max_size=70))
def test_agrees_with_pydicom(text: str) -> None:
    if is_instance_uid(text):
        assert UID(text).is_valid


@given(st.text(min_size=1), st.text())
def test_new_uids_are_good_and_repeatable(placer: str, filler: str) -> None:
    rules = MappingRules(uid_root="1.2.826.0.1.3680043.8.498")
    uid = new_study_uid(rules, placer, filler)
    assert is_instance_uid(uid)
    assert uid.startswith("1.2.826.0.1.3680043.8.498.")
    assert uid == new_study_uid(rules, placer, filler)
    assert uid != new_study_uid(rules, filler + "x", placer)


def test_2_25_is_the_decimal_form_of_a_uuid() -> None:
    uid = new_study_uid(MappingRules(), "ORD001^RIS")
    number = UUID(int=int(uid.removeprefix("2.25.")))
    assert number.version == 5
    assert number.variant == "specified in RFC 4122"


def test_installations_are_kept_apart() -> None:
    here = MappingRules(uid_namespace="north")
    there = MappingRules(uid_namespace="south")
    assert new_study_uid(here, "ORD001") != new_study_uid(there, "ORD001")


def test_parts_of_the_seed_are_kept_apart() -> None:
    rules = MappingRules()
    assert new_study_uid(rules, "AB", "C") != new_study_uid(rules, "A", "BC")


def test_no_seed_no_uid() -> None:
    with pytest.raises(ValueError, match="seed"):
        new_study_uid(MappingRules(), "", "")


@pytest.mark.parametrize("seed", ["a", "ACC1\x1fRP1", "検査", "x" * 500])
def test_the_number_is_that_of_a_name_based_uuid(seed: str) -> None:
    rules = MappingRules(uid_namespace="site")
    expected = uuid5(UUID("6f3c9a52-4f0b-5c0e-9d6e-0a3b7f1f52c1"), f"site\x1f{seed}").int
    assert new_study_uid(rules, seed) == f"2.25.{expected}"
