from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.translate import MappingRules, PatientIdentifier, patient_from, patients_merged

RULES = MappingRules()


def pid(**fields: str) -> str:
    numbers = {int(name[1:]): text for name, text in fields.items()}
    return "|".join(["PID", *(numbers.get(n, "") for n in range(1, max(numbers) + 1))])


def test_the_sample(message: Any) -> None:
    record = patient_from(
        message("PID|1||12345^^^HOSPITAL^MR||DOE^JOHN^ANDREW||19800115|M", kind="ADT^A01"), RULES
    )
    assert record.identifiers == (PatientIdentifier("12345", "HOSPITAL", "MR"),)
    assert record.attributes == {
        "PatientName": "DOE^JOHN^ANDREW",
        "PatientBirthDate": "19800115",
        "PatientSex": "M",
    }
    assert record.warnings == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"f6": "MILLER^ANNA"}, {"PatientMotherBirthName": "MILLER^ANNA"}),
        ({"f7": "19800115"}, {"PatientBirthDate": "19800115"}),
        (
            {"f7": "198001151230"},
            {"PatientBirthDate": "19800115", "PatientBirthTime": "1230"},
        ),
        ({"f7": '""'}, {"PatientBirthDate": None, "PatientBirthTime": None}),
        ({"f8": "F"}, {"PatientSex": "F"}),
        ({"f8": "O"}, {"PatientSex": "O"}),
        ({"f8": "A"}, {"PatientSex": "O"}),
        ({"f8": "N"}, {"PatientSex": "O"}),
        ({"f8": "m"}, {"PatientSex": "M"}),
        ({"f8": "U"}, {"PatientSex": None}),
        ({"f8": '""'}, {"PatientSex": None}),
        ({"f10": "2106-3^White^HL70005"}, {"EthnicGroup": "White"}),
        ({"f10": "2054-5^Black or African American"}, {"EthnicGroup": "2054-5"}),
        ({"f10": '""'}, {"EthnicGroup": None}),
        (
            {"f11": "1 Main St&Main&1^Apt 2^Springfield^IL^62701^USA"},
            {"PatientAddress": "1 Main St, Apt 2, Springfield, IL 62701, USA"},
        ),
        ({"f11": '""'}, {"PatientAddress": None}),
        ({"f13": "555-1234"}, {"PatientTelephoneNumbers": "555-1234"}),
        (
            {"f13": "555-1234~^PRN^PH^^1^217^5550199"},
            {"PatientTelephoneNumbers": ["555-1234", "217 5550199"]},
        ),
        ({"f13": "+49 (30) 901 82-0 1234"}, {"PatientTelephoneNumbers": "+49309018201234"}),
        ({"f13": "^NET^Internet^a@example.org"}, {}),
        ({"f13": '""'}, {"PatientTelephoneNumbers": None}),
        ({"f5": '""'}, {"PatientName": None}),
        ({"f19": "123-45-6789"}, {}),
    ],
)
def test_pid_fields(message: Any, fields: Any, expected: Any) -> None:
    record = patient_from(message(pid(f3="1", **fields), kind="ADT^A08"), RULES)
    assert record.attributes == expected
    assert record.warnings == ()


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"f7": "19801399"}, "PID-7: no date, left out"),
        ({"f7": "1980"}, "PID-7: no full date, left out"),
        ({"f8": "X"}, "PID-8: not in the code table, left out"),
        ({"f13": "0049 30 90182 0 extension 1234567"}, "PID-13: number too long, left out"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_a_warning(
    message: Any, fields: Any, warning: Any
) -> None:
    record = patient_from(message(pid(f3="1", **fields), kind="ADT^A08"), RULES)
    assert record.attributes == {}
    assert record.warnings == (warning,)


def test_a_long_address_is_cut_with_a_warning(message: Any) -> None:
    record = patient_from(message(pid(f3="1", f11="S" * 60 + "^^Town"), kind="ADT^A08"), RULES)
    assert record.attributes == {"PatientAddress": "S" * 60 + ", To"}
    assert record.warnings == ("PID-11: cut to 64 characters",)


@pytest.mark.parametrize(
    ("pv1", "expected"),
    [
        ("PV1|1|I|4W^101^A^HOSPITAL", {"CurrentPatientLocation": "4W-101-A"}),
        ("PV1|1|I|4W", {"CurrentPatientLocation": "4W"}),
        ("PV1|1|I|^^^HOSPITAL^^^^^Day clinic", {"CurrentPatientLocation": "Day clinic"}),
        ("PV1|1|I|^^^HOSPITAL", {}),
        ('PV1|1|I|""', {"CurrentPatientLocation": None}),
        ("PV1|1|I|||||||||||||B6", {"PregnancyStatus": "3"}),
        ("PV1|1|I|||||||||||||A1~B6", {"PregnancyStatus": "3"}),
        ("PV1|1|I|||||||||||||A1", {}),
        ('PV1|1|I|||||||||||||""', {"PregnancyStatus": None}),
        (
            "PV1|1|I||||||||||||||VIP",
            {"ConfidentialityConstraintOnPatientDataDescription": "VIP"},
        ),
    ],
)
def test_pv1_fields(message: Any, pv1: Any, expected: Any) -> None:
    record = patient_from(message("PID|1||1", pv1, kind="ADT^A01"), RULES)
    assert record.attributes == expected


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (["AL1|1|DA|70618^Penicillin^RXNORM"], "Penicillin"),
        (["AL1|1|DA|^Penicillin", "AL1|2|FA|PNUT"], ["Penicillin", "PNUT"]),
        (["AL1|1|DA|^Penicillin", "AL1|2|DA|^Penicillin"], "Penicillin"),
        (['AL1|1|DA|""'], None),
        (["AL1|1|DA|^" + "word " * 20], ["word " * 12 + "word", "word " * 6 + "word"]),
    ],
)
def test_allergies(message: Any, segments: Any, expected: Any) -> None:
    record = patient_from(message("PID|1||1", *segments, kind="ADT^A08"), RULES)
    assert record.attributes == {"Allergies": expected}


def test_weight_of_an_admission_is_the_patients(message: Any) -> None:
    obx = "OBX|1|NM|29463-7^Body weight^LN||70.5|kg|||||F"
    assert patient_from(message("PID|1||1", obx, kind="ADT^A01"), RULES).attributes == {
        "PatientWeight": "70.5"
    }
    assert patient_from(message("PID|1||1", obx, kind="ORM^O01"), RULES).attributes == {}


def test_without_pid_there_is_no_patient(message: Any) -> None:
    assert patient_from(message("EVN|A08", kind="ADT^A08"), RULES).identifiers == ()


def merged(built: Any) -> list[tuple[list[str], str, str]]:
    return [
        ([i.id for i in record.identifiers], retired.id, retired.issuer)
        for record, retired in patients_merged(built, RULES)
    ]


@pytest.mark.parametrize("trigger", ["A18", "A34", "A36", "A39", "A40", "A47"])
def test_every_merge_retires_mrg_1(message: Any, trigger: Any) -> None:
    built = message(
        "EVN||20231115",
        "PID|1||NEW^^^HOSPITAL^MR||DOE^JOHN",
        "MRG|OLD^^^HOSPITAL^MR",
        kind=f"ADT^{trigger}",
    )
    assert merged(built) == [(["NEW"], "OLD", "HOSPITAL")]


def test_repeating_groups(message: Any) -> None:
    built = message(
        "EVN||20231115",
        "PID|1||N1^^^H^MR||A^B",
        "PD1|",
        "MRG|O1^^^H^MR",
        "PV1|1|I|4W",
        "PID|2||N2^^^H^MR||C^D",
        "MRG|O2^^^H^MR~O3^^^H^MR",
        kind="ADT^A40",
    )
    assert merged(built) == [(["N1"], "O1", "H"), (["N2"], "O2", "H"), (["N2"], "O3", "H")]
    first, second, _ = (record for record, _ in patients_merged(built, RULES))
    assert first.attributes == {"PatientName": "A^B", "CurrentPatientLocation": "4W"}
    assert second.attributes == {"PatientName": "C^D"}


@pytest.mark.parametrize(
    ("pid3", "mrg1", "expected"),
    [
        # The authority decides: the same number of another authority is another patient's.
        ("1^^^A^MR", "1^^^B^MR", [("1", "B")]),
        ("1^^^A^MR", "2", [("2", "A")]),
        ("1", "2", [("2", "HOSPITAL_MRN")]),
        # A number that both carry is not retired, one that the survivor only lists is.
        ("1^^^A^MR~N^^^NAT^NI", "2^^^A^MR~N^^^NAT^NI", [("2", "A")]),
        ("1^^^A^MR~2^^^A^MR", "2^^^A^MR", [("2", "A")]),
        ("1^^^A^MR", "1^^^A^MR", []),
        # Nor is there another survivor of that authority here.
        ("1^^^A^MR~N^^^NAT^NI", "1^^^A^MR", []),
        ("1^^^A^MR", "", []),
        # PID-3 repeats the old number, even as its first.
        ("2^^^A^MR~1^^^A^MR", "2^^^A^MR", [("2", "A")]),
        ("2^^^A^MR~1^^^A^MR", "2", [("2", "A")]),
        ("1^^^A^MR~2^^^A^MR", "2^^^A^MR~1^^^A^MR", [("2", "A")]),
    ],
)
def test_mrg_1_is_matched_with_its_authority(
    message: Any, pid3: Any, mrg1: Any, expected: Any
) -> None:
    built = message("EVN|", f"PID|1||{pid3}", f"MRG|{mrg1}", kind="ADT^A40")
    assert [(i.id, i.issuer) for _, i in patients_merged(built, RULES)] == expected


@pytest.mark.parametrize("pid3", ["1^^^A^MR~2^^^A^MR~3^^^A^MR", "3^^^A^MR~2^^^A^MR~1^^^A^MR"])
def test_a_retired_number_is_none_of_the_survivors(message: Any, pid3: Any) -> None:
    built = message("EVN|", f"PID|1||{pid3}", "MRG|2^^^A^MR~3^^^A^MR", kind="ADT^A40")
    assert merged(built) == [(["1"], "2", "A"), (["1"], "3", "A")]


def test_external_id_of_a39(message: Any) -> None:
    built = message("EVN|", "PID|1||1^^^A^MR", "MRG||||2^^^A^MR", kind="ADT^A39")
    assert merged(built) == [(["1"], "2", "A")]


def test_unlink_has_two_patients(message: Any) -> None:
    built = message("EVN|", "PID|1||1^^^A^MR||A^B", "PID|2||2^^^A^MR||C^D", kind="ADT^A37")
    assert merged(built) == [(["1"], "2", "A")]
    assert merged(message("EVN|", "PID|1||1^^^A^MR", kind="ADT^A37")) == []


def test_other_events_merge_nothing(message: Any) -> None:
    assert merged(message("EVN|", "PID|1||1", "MRG|2", kind="ADT^A08")) == []
