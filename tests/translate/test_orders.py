from __future__ import annotations

from typing import Any

import msgspec
import pytest

from vitalbridge.translate import MappingRules, OrderRecord, Station, orders_from, short_id

SAMPLE = (
    "PID|1||12345^^^HOSPITAL^MR||DOE^JOHN^ANDREW||19800115|M",
    "ORC|NW|ORD001^RIS|ACC001^PACS||SC||||20231115120000|||1234^SMITH^ROBERT^J^MD",
    "OBR|1|ORD001^RIS|ACC001^PACS|71260^CT CHEST W/O CONTRAST^CPT|||20231115140000|||||||||"
    "1234^SMITH^ROBERT^J^MD||ACC001||||||CT",
    "ZDS|1.2.840.113619.2.55.3.604688119.929.1234567890.1",
)


def one(built: Any, rules: MappingRules, **more: Any) -> OrderRecord:
    (record,) = orders_from(built, rules, **more)
    return record


def test_the_sample(message: Any) -> None:
    rules = MappingRules(modality_stations={"CT": (Station("CT_SCANNER_1"),)})
    code = {
        "CodeValue": "71260",
        "CodingSchemeDesignator": "CPT",
        "CodeMeaning": "CT CHEST W/O CONTRAST",
    }
    assert msgspec.json.decode(msgspec.json.encode(one(message(*SAMPLE), rules))) == {
        "control": "NW",
        "status": "SC",
        "placer": "ORD001^RIS",
        "filler": "ACC001^PACS",
        "accession": "ACC001",
        "requested_procedure_id": "ACC001",
        "study_uid": "1.2.840.113619.2.55.3.604688119.929.1234567890.1",
        "transaction_time": "20231115120000",
        "attributes": {
            "PlacerOrderNumberImagingServiceRequest": "ORD001",
            "FillerOrderNumberImagingServiceRequest": "ACC001",
            "RequestingPhysician": "SMITH^ROBERT^J^^MD",
            "RequestedProcedureCodeSequence": [code],
            "RequestedProcedureDescription": "CT CHEST W/O CONTRAST",
            "InstitutionName": "HOSPITAL",
        },
        "steps": [
            {
                "step_id": "",
                "start": "20231115140000",
                "modality": "CT",
                "stations": ["CT_SCANNER_1"],
                "attributes": {
                    "ScheduledProcedureStepDescription": "CT CHEST W/O CONTRAST",
                    "ScheduledProtocolCodeSequence": [code],
                },
                "modality_unmapped": False,
                "start_assumed": False,
                "place_assumed": True,
            }
        ],
        "warnings": [],
        "generated_ids": [],
    }


CODE = {"CodeValue": "R07", "CodingSchemeDesignator": "I10", "CodeMeaning": "Chest pain"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"f12": "INF^Infectious"}, {"PatientState": "Infectious"}),
        ({"f12": "INF"}, {"PatientState": "INF"}),
        ({"f12": '""'}, {"PatientState": None}),
        ({"f13": r"Metformin\E\diabetes"}, {"MedicalAlerts": "Metformin/diabetes"}),
        ({"f13": "w " * 50}, {"MedicalAlerts": ["w " * 31 + "w", "w " * 17 + "w"]}),
        ({"f13": '""'}, {"MedicalAlerts": None}),
        ({"f16": "9^JONES^ANN"}, {"RequestingPhysician": "JONES^ANN"}),
        ({"f30": "WHLC"}, {"PatientTransportArrangements": "WHLC"}),
        (
            {"f31": "R07^Chest pain^I10"},
            {
                "ReasonForTheRequestedProcedure": "Chest pain",
                "ReasonForRequestedProcedureCodeSequence": [CODE],
            },
        ),
        (
            {"f31": "R07^Chest pain^I10~^Cough"},
            {
                "ReasonForTheRequestedProcedure": "Chest pain; Cough",
                "ReasonForRequestedProcedureCodeSequence": [CODE],
            },
        ),
        (
            {"f31": '""'},
            {
                "ReasonForTheRequestedProcedure": None,
                "ReasonForRequestedProcedureCodeSequence": None,
            },
        ),
        ({"f5": "S"}, {"RequestedProcedurePriority": "STAT"}),
        ({"f5": "A"}, {"RequestedProcedurePriority": "HIGH"}),
        ({"f5": "P"}, {"RequestedProcedurePriority": "HIGH"}),
        ({"f5": "T"}, {"RequestedProcedurePriority": "HIGH"}),
        ({"f5": "R"}, {"RequestedProcedurePriority": "ROUTINE"}),
        ({"f5": "C"}, {"RequestedProcedurePriority": "MEDIUM"}),
        ({"f5": '""'}, {"RequestedProcedurePriority": None}),
        ({"f27": "^^^^^S", "f5": "R"}, {"RequestedProcedurePriority": "STAT"}),
    ],
)
def test_obr_fields(order: Any, rules: Any, fields: Any, expected: Any) -> None:
    attributes = one(order(orc="ORC|NW|P", **fields), rules).attributes
    for keyword in (
        "PlacerOrderNumberImagingServiceRequest",
        "InstitutionName",
        "RequestedProcedureDescription",
        "RequestedProcedureCodeSequence",
    ):
        del attributes[keyword]
    assert attributes == expected


def test_premedication_is_not_touched(order: Any, rules: Any) -> None:
    record = one(order(f13="Metformin"), rules)
    assert "PreMedication" not in record.attributes
    assert "PreMedication" not in record.steps[0].attributes


@pytest.mark.parametrize(
    ("orc", "keyword", "expected"),
    [
        ("ORC|NW|P|||||||||||||||CARD^Cardiology", "RequestingService", "Cardiology"),
        ("ORC|NW|P|||||||||||||||CARD", "RequestingService", "CARD"),
        ('ORC|NW|P|||||||||||||||""', "RequestingService", None),
        ("ORC|NW|P|||||^^^^^S", "RequestedProcedurePriority", "STAT"),
        ("ORC|NW|P||||||||||1^SMITH^ROBERT", "RequestingPhysician", "SMITH^ROBERT"),
        ('ORC|NW|P||||||||||""', "RequestingPhysician", None),
    ],
)
def test_orc_fields(order: Any, rules: Any, orc: Any, keyword: Any, expected: Any) -> None:
    assert one(order(orc=orc), rules).attributes[keyword] == expected


def test_orc_12_before_obr_16(order: Any, rules: Any) -> None:
    built = order(orc="ORC|NW|P||||||||||1^SMITH^ROBERT", f16="2^JONES^ANN")
    assert one(built, rules).attributes["RequestingPhysician"] == "SMITH^ROBERT"


def test_requester_without_an_orc(order: Any, rules: Any) -> None:
    built = order(orc="", f16="2^JONES^ANN")
    assert one(built, rules).attributes["RequestingPhysician"] == "JONES^ANN"


def test_department_is_nowhere(order: Any, rules: Any) -> None:
    record = one(order("PV1|1|I|4W^101^A^CLINIC||||||"), rules)
    assert "InstitutionalDepartmentName" not in record.attributes


@pytest.mark.parametrize(
    ("pv1", "keyword", "expected"),
    [
        ("PV1|1|I||||||77^HOUSE^GREGORY", "ReferringPhysicianName", "HOUSE^GREGORY"),
        ('PV1|1|I||||||""', "ReferringPhysicianName", None),
        ("PV1|1|I" + "|" * 17 + "V123^^^HOSPITAL", "AdmissionID", "V123"),
        ("PV1|1|I" + "|" * 17 + '""', "AdmissionID", None),
        ("PV1|1|I|4W^^^CLINIC", "InstitutionName", "CLINIC"),
        ("PV1|1|I|4W", "InstitutionName", "HOSPITAL"),
    ],
)
def test_pv1_fields(order: Any, rules: Any, pv1: Any, keyword: Any, expected: Any) -> None:
    assert one(order(pv1), rules).attributes[keyword] == expected


def test_configured_institution_before_msh_4(order: Any) -> None:
    rules = MappingRules(institution_name="General Hospital")
    assert one(order(), rules).attributes["InstitutionName"] == "General Hospital"
    built = order("PV1|1|I|4W^^^CLINIC")
    assert one(built, rules).attributes["InstitutionName"] == "CLINIC"


def test_notes_become_comments(order: Any, rules: Any) -> None:
    built = order("NTE|1||First line~second line", r"NTE|2||third\.br\fourth")
    comments = one(built, rules).attributes["RequestedProcedureComments"]
    assert comments == "First line\r\nsecond line\r\nthird\r\nfourth"


def test_weight_and_height_belong_to_the_order(order: Any, rules: Any) -> None:
    built = order(
        "OBX|1|NM|29463-7^Body weight^LN||154|lb|||||F",
        "OBX|2|NM|8302-2^Body height^LN||180|cm|||||F",
    )
    attributes = one(built, rules).attributes
    assert attributes["PatientWeight"] == "69.853"
    assert attributes["PatientSize"] == "1.8"


# Requested procedure and protocol codes.


def codes(record: OrderRecord) -> tuple[Any, Any, Any, Any]:
    requested: Any = record.attributes.get("RequestedProcedureCodeSequence")
    protocol: Any = record.steps[0].attributes.get("ScheduledProtocolCodeSequence")
    return (
        [c["CodeValue"] for c in requested or []],
        record.attributes.get("RequestedProcedureDescription"),
        [c["CodeValue"] for c in protocol or []],
        record.steps[0].attributes.get("ScheduledProcedureStepDescription"),
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"f4": "71260^CT CHEST^CPT"}, (["71260"], "CT CHEST", ["71260"], "CT CHEST")),
        (
            {"f4": "71260^CT CHEST^CPT^P5^Low dose^L"},
            (["71260"], "CT CHEST", ["P5"], "Low dose"),
        ),
        (
            {"f4": "71260^CT CHEST^CPT", "f44": "RP9^Thorax CT^L"},
            (["RP9"], "Thorax CT", ["71260"], "CT CHEST"),
        ),
        (
            {"f4": "71260^CT CHEST^CPT", "f44": "RP9^^L"},
            (["RP9"], "CT CHEST", ["71260"], "CT CHEST"),
        ),
        ({"f4": "^CT CHEST"}, ([], "CT CHEST", [], "CT CHEST")),
        ({"f4": "71260"}, (["71260"], "71260", ["71260"], "71260")),
        ({"f4": "^^^P5^Low dose^L"}, (["P5"], "Low dose", ["P5"], "Low dose")),
    ],
)
def test_procedure_and_protocol(order: Any, rules: Any, fields: Any, expected: Any) -> None:
    assert codes(one(order(**fields), rules)) == expected


def test_long_description_is_cut_once_with_one_warning(order: Any, rules: Any) -> None:
    record = one(order(f4="X^" + "D" * 65 + "^L"), rules)
    assert record.attributes["RequestedProcedureDescription"] == "D" * 64
    assert record.warnings == ("OBR-4: cut to 64 characters",)


# Modality and station.


@pytest.mark.parametrize(
    ("fields", "modality", "stations", "unmapped"),
    [
        ({"f24": "CT"}, "CT", ("CT_SCANNER_1", "CT_SCANNER_2"), False),
        ({"f24": "MR"}, "MR", ("MR_2",), False),
        ({"f24": "XR"}, "DX", ("DX_1", "DX_2"), False),
        ({"f24": "US"}, "US", (), False),
        ({"f24": "ct"}, "CT", ("CT_SCANNER_1", "CT_SCANNER_2"), False),
        ({"f24": "", "f4": "MRBRAIN^x^L"}, "MR", ("MR_2",), False),
        ({"f24": "RAD", "f4": "MRBRAIN^x^L"}, "MR", ("MR_2",), False),
        ({"f24": "", "f4": "A^x^L^MRBRAIN^y^L"}, "MR", ("MR_2",), False),
        ({"f24": "", "f4": "A^x^L", "f44": "MRBRAIN^y^L"}, "MR", ("MR_2",), False),
        ({"f24": "", "f4": "CHEST2^x^L"}, "DX", ("DX_1", "DX_2"), False),
        ({"f24": "", "f4": "UNKNOWN^x^L"}, "OT", (), True),
        ({"f24": "RAD", "f4": "UNKNOWN^x^L"}, "OT", (), True),
        ({"f24": '""', "f4": "UNKNOWN^x^L"}, "OT", (), True),
    ],
)
def test_modality(
    order: Any, rules: Any, fields: Any, modality: Any, stations: Any, unmapped: Any
) -> None:
    record = one(order(**fields), rules)
    (step,) = record.steps
    assert (step.modality, step.stations, step.modality_unmapped) == (modality, stations, unmapped)
    assert (record.warnings != ()) is unmapped


@pytest.mark.parametrize(
    ("fields", "attributes"),
    [
        ({"f24": "CT"}, {"ScheduledStationName": ["CT1", "CT2"]}),
        (
            {"f24": "MR"},
            {"ScheduledStationName": "MR2", "ScheduledProcedureStepLocation": "ROOM 4"},
        ),
        ({"f24": "DX"}, {"ScheduledProcedureStepLocation": "ROOM 5"}),
        ({"f24": "US"}, {}),
    ],
)
def test_station_name_and_location(order: Any, rules: Any, fields: Any, attributes: Any) -> None:
    (step,) = one(order(**fields), rules).steps
    del step.attributes["ScheduledProcedureStepDescription"]
    del step.attributes["ScheduledProtocolCodeSequence"]
    assert step.attributes == attributes


@pytest.mark.parametrize(
    ("named", "modality", "unmapped"), [("", "", False), ("CT", "CT", False), ("RAD", "OT", True)]
)
def test_a_change_without_modality_leaves_it(
    order: Any, rules: Any, named: Any, modality: Any, unmapped: Any
) -> None:
    (step,) = one(order(orc="ORC|XO|P", f24=named, f4="X^x^L"), rules).steps
    assert (step.modality, step.modality_unmapped) == (modality, unmapped)


# Start.

START = {
    "tq1": "TQ1|1||||||20231101",
    "orc": "ORC|NW|P|||||^^^20231102||20231109",
    "f27": "^^^20231103",
    "f36": "20231104",
    "f7": "20231105",
    "f6": "20231106",
}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("tq1", "orc", "f27", "f36", "f7", "f6"), "20231101"),
        (("orc", "f27", "f36", "f7", "f6"), "20231102"),
        (("f27", "f36", "f7", "f6"), "20231103"),
        (("f36", "f7", "f6"), "20231104"),
        (("f7", "f6"), "20231105"),
        (("f6",), "20231106"),
    ],
)
def test_start(order: Any, rules: Any, names: Any, expected: Any) -> None:
    fields = {name: START[name] for name in names if name.startswith("f")}
    orc = START["orc"] if "orc" in names else "ORC|NW|P||||||||20231109"
    more = [START["tq1"]] if "tq1" in names else []
    record = one(order(*more, orc=orc, **{"f7": "", **fields}), rules)
    assert record.steps[0].start == expected
    assert not record.steps[0].start_assumed
    assert record.warnings == ()


def test_without_a_start_msh_7_and_never_orc_9(order: Any, rules: Any) -> None:
    record = one(order(orc="ORC|NW|P||||||||20231109", f7=""), rules)
    assert (record.steps[0].start, record.steps[0].start_assumed) == ("20231115113000", True)
    assert record.warnings == ("no scheduled start in the message, MSH-7 assumed",)


def test_a_change_without_a_start_leaves_it(order: Any, rules: Any) -> None:
    record = one(order(orc="ORC|XO|P||||||||20231109", f7=""), rules)
    assert (record.steps[0].start, record.steps[0].start_assumed) == ("", False)
    assert record.warnings == ()


def test_an_invalid_start_is_passed_over_with_a_warning(order: Any, rules: Any) -> None:
    record = one(order(f36="20231399", f7="20231105"), rules)
    assert record.steps[0].start == "20231105"
    assert record.warnings == ("OBR-36: no date and time, passed over",)


@pytest.mark.parametrize("vague", ["2099", "209901"])
def test_a_start_less_precise_than_a_day_is_passed_over(order: Any, rules: Any, vague: str) -> None:
    orc = f"ORC|NW|P|||||^^^{vague}"
    passed = "ORC-7: no date and time, passed over"
    record = one(order(orc=orc, f7="20231105"), rules)
    assert (record.steps[0].start, record.steps[0].start_assumed) == ("20231105", False)
    assert record.warnings == (passed,)
    record = one(order(orc=orc, f7=""), rules)
    assert (record.steps[0].start, record.steps[0].start_assumed) == ("20231115113000", True)
    assert record.warnings == (passed, "no scheduled start in the message, MSH-7 assumed")


def test_start_is_in_the_site_zone(order: Any) -> None:
    rules = MappingRules(timezone="Europe/Berlin")
    record = one(order(), rules, source_timezone="Asia/Seoul")
    assert record.steps[0].start == "20231115060000"
    assert record.transaction_time == "20231115030000"


def test_priority_of_tq1_comes_first(order: Any, rules: Any) -> None:
    built = order("TQ1|1||||||20231101||S^STAT^HL70485", f5="R", f27="^^^^^A")
    assert one(built, rules).attributes["RequestedProcedurePriority"] == "STAT"


def test_an_unknown_priority_is_left_out(order: Any, rules: Any) -> None:
    record = one(order(f5="Z"), rules)
    assert "RequestedProcedurePriority" not in record.attributes
    assert record.warnings == ("TQ1-9: priority is not in the code table, left out",)


# Keys.


@pytest.mark.parametrize(
    ("orc", "fields", "accession"),
    [
        ("ORC|NW|P|C3", {"f18": "A18", "f3": "B3"}, "A18"),
        ("ORC|NW|P|C3", {"f3": "B3^NS"}, "B3"),
        ("ORC|NW|P|C3^NS", {}, "C3"),
        ("ORC|NW|P", {}, ""),
        ("ORC|NW|P|C3", {"f18": '""'}, "C3"),
    ],
)
def test_accession(order: Any, rules: Any, orc: Any, fields: Any, accession: Any) -> None:
    assert one(order(orc=orc, **fields), rules).accession == accession


def test_accession_sources_are_configurable(order: Any) -> None:
    rules = MappingRules(accession_sources=("ZDS-2.1", "PID-18", "ORC-2"))
    assert one(order(orc="ORC|NW|P^NS"), rules).accession == "P"
    assert one(order("ZDS|1.2.3|Z9^x"), rules).accession == "Z9"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"f19": "RP1", "f3": "B3", "f18": "A18"}, "RP1"),
        ({"f3": "B3", "f18": "A18"}, "B3"),
        ({"f18": "A18"}, "A18"),
        ({}, "P"),
    ],
)
def test_requested_procedure_id(order: Any, rules: Any, fields: Any, expected: Any) -> None:
    assert one(order(orc="ORC|NW|P", **fields), rules).requested_procedure_id == expected


def test_step_id(order: Any, rules: Any) -> None:
    assert one(order(f20="SPS1"), rules).steps[0].step_id == "SPS1"
    assert one(order(), rules).steps[0].step_id == ""


def test_long_identifiers_are_replaced_never_cut(order: Any) -> None:
    rules = MappingRules(long_identifiers="generate")
    accession, procedure, step = "A" * 17, "B" * 20, "C" * 64
    record = one(order(f18=accession, f19=procedure, f20=step), rules)
    assert record.accession == short_id(accession)
    assert record.requested_procedure_id == short_id(procedure)
    assert record.steps[0].step_id == short_id(step)
    assert record.generated_ids == (
        ("AccessionNumber", accession),
        ("RequestedProcedureID", procedure),
        ("ScheduledProcedureStepID", step),
    )


def test_order_numbers_keep_all_components(order: Any, rules: Any) -> None:
    record = one(order(orc="ORC|NW|P1^RIS^1.2.3^ISO|F1^PACS"), rules)
    assert (record.placer, record.filler) == ("P1^RIS^1.2.3^ISO", "F1^PACS")


def test_invalid_study_uid_is_left_out(order: Any, rules: Any) -> None:
    record = one(order("ZDS|1.2.840.10008.1.1"), rules)
    assert record.study_uid == ""
    assert record.warnings == ("no valid Study Instance UID (IPC-3, ZDS-1), left out",)


# Several groups.


def test_several_orders(message: Any, rules: Any) -> None:
    records = orders_from(
        message(
            "PID|1||1",
            "ORC|NW|P1|F1||SC",
            "OBR|1|P1|F1|71260^CT^L|||20231115||||||||||||||||||CT" + "",
            "ORC|CA|P2|F2||CA",
            "ZDS|1.2.3",
        ),
        rules,
    )
    assert [(r.control, r.placer, r.study_uid, len(r.steps)) for r in records] == [
        ("NW", "P1", "1.2.3", 1),
        ("CA", "P2", "1.2.3", 0),
    ]


def test_obrs_under_one_orc_keep_their_own_numbers(message: Any, rules: Any) -> None:
    records = orders_from(
        message(
            "PID|1||1",
            "ORC|NW|GROUP|GROUPF",
            "OBR|1|P1|F1|A^a^L",
            "OBR|2|P2|F2|B^b^L",
            "OBR|3|||C^c^L",
        ),
        rules,
    )
    assert [(r.placer, r.filler) for r in records] == [
        ("P1", "F1"),
        ("P2", "F2"),
        ("GROUP", "GROUPF"),
    ]


def test_prior_results_are_no_orders(message: Any, rules: Any) -> None:
    built = message(
        "PID|1||1",
        "ORC|NW|P1",
        "OBR|1|P1||A^a^L",
        "PID|1||1",
        "ORC|NW|P0",
        "OBR|1|P0||B^b^L",
        kind="OMG^O19",
    )
    assert [r.placer for r in orders_from(built, rules)] == ["P1"]


@pytest.mark.parametrize(
    ("obr34", "expected"),
    [
        ("55&MARIE&CURIE&S&JR&DR", "MARIE^CURIE^S^DR^JR"),
        ("55^MARIE^CURIE", "MARIE^CURIE"),
        ("55&MARIE&CURIE^20231115", "MARIE^CURIE"),
        ("55&&CURIE", None),
        ("55^20231115", None),
        ('""', None),
    ],
)
def test_performer(order: Any, rules: Any, obr34: Any, expected: Any) -> None:
    attributes = one(order(f34=obr34), rules).steps[0].attributes
    assert attributes.get("ScheduledPerformingPhysicianName") == expected
    assert ("ScheduledPerformingPhysicianName" in attributes) is (bool(expected) or obr34 == '""')


def test_body_site(order: Any, rules: Any) -> None:
    attributes = one(order(f15="^^^69536005&Head&SCT"), rules).steps[0].attributes
    assert attributes["BodyPartExamined"] == "HEAD"
    assert "BodyPartExamined" not in one(order(f15="^^^1&x&SCT"), rules).steps[0].attributes


def test_transaction_time_is_orc_9_else_msh_7(order: Any, rules: Any) -> None:
    assert one(order(orc="ORC|NW|P"), rules).transaction_time == "20231115113000"
