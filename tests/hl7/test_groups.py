import pytest

from vitalbridge.hl7 import Message, OrderGroup

HEAD = "MSH|^~\\&|RIS|H|PACS|R|2023||ORM^O01|1|P|2.5.1\r"


def groups_of(*lines: str) -> list[OrderGroup]:
    return Message((HEAD + "\r".join(lines)).encode()).order_groups()


def described(group: OrderGroup) -> str:
    return " ".join(f"{segment.name}{segment.get(1)}" for segment in group.segments)


def test_one_order() -> None:
    (group,) = groups_of(
        "PID|1", "PV1|1", "ORC|NW", "TQ1|1", "OBR|1", "NTE|1", "DG1|1", "OBX|1", "NTE|9", "ZDS|u"
    )
    assert described(group) == "ORCNW TQ11 OBR1 NTE1 DG11 OBX1 NTE9 ZDSu"
    assert group.orc is not None
    assert group.orc.get(1) == "NW"
    assert group.obr is not None
    assert group.zds is not None
    assert [s.get(1) for s in group.nte] == ["1"]
    assert [len(part) for part in (group.tq1, group.obx, group.dg1, group.ipc)] == [1, 1, 1, 0]
    assert (group.index, group.patient) == (1, 1)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        (["PID|1", "OBX|1"], []),
        (["ORC|A"], ["ORCA"]),
        (["OBR|1"], ["OBR1"]),
        (["OBR|1", "OBX|1", "OBR|2", "OBX|2"], ["OBR1 OBX1", "OBR2 OBX2"]),
        (["ORC|A", "ORC|B", "OBR|1"], ["ORCA", "ORCB OBR1"]),
        (["ORC|A", "OBR|1", "OBR|2"], ["ORCA OBR1", "ORCA OBR2"]),
        (
            ["ORC|A", "TQ1|1", "OBR|1", "OBR|2", "TQ1|2", "OBR|3"],
            ["ORCA TQ11 OBR1", "ORCA OBR2 TQ12", "ORCA OBR3"],
        ),
        (
            ["ORC|A", "TQ1|1", "OBR|1", "OBR|2", "OBR|3"],
            ["ORCA TQ11 OBR1", "ORCA TQ11 OBR2", "ORCA TQ11 OBR3"],
        ),
        (["ORC|A", "OBR|1", "TQ1|1", "OBR|2"], ["ORCA OBR1 TQ11", "ORCA OBR2"]),
        (["ORC|A", "OBR|1", "IPC|a", "IPC|b"], ["ORCA OBR1 IPCa IPCb"]),
        (["ORC|A", "IPC|a", "ORC|B", "IPC|b"], ["ORCA IPCa", "ORCB IPCb"]),
        (["ORC|A", "OBR|1", "ZXY|z"], ["ORCA OBR1 ZXYz"]),
    ],
)
def test_what_belongs_together(lines: list[str], expected: list[str]) -> None:
    groups = groups_of("PID|1", *lines)
    assert [described(group) for group in groups] == expected
    assert [group.index for group in groups] == list(range(1, len(groups) + 1))


@pytest.mark.parametrize(
    ("lines", "uids"),
    [
        (["ORC|A", "OBR|1", "OBR|2", "ZDS|u"], ["u", "u"]),
        (["ZDS|u", "ORC|A", "OBR|1", "ORC|B", "OBR|2"], ["u", "u"]),
        (["ORC|A", "OBR|1", "ZDS|u", "ORC|B", "OBR|2", "ZDS|v"], ["u", "v"]),
        (["ORC|A", "OBR|1", "ZDS|u", "OBR|2", "ZDS|u", "OBR|3"], ["u", "u", "u"]),
        (["ORC|A", "OBR|1", "ZDS|u", "OBR|2", "ZDS|v", "OBR|3"], ["u", "v", None]),
        (["ORC|A", "OBR|1"], [None]),
    ],
)
def test_whose_study_instance_uid_it_is(lines: list[str], uids: list[str | None]) -> None:
    groups = groups_of(*lines)
    assert [group.zds and group.zds.get(1) for group in groups] == uids
    for group in groups:
        assert (group.zds in group.segments) == (group.zds is not None)


def test_prior_results_are_of_a_second_pid() -> None:
    groups = groups_of("PID|1", "ORC|NW", "OBR|1", "PID|1", "PV1|1", "ORC|RE", "OBR|8", "OBX|1")
    assert [(group.patient, described(group)) for group in groups] == [
        (1, "ORCNW OBR1"),
        (2, "ORCRE OBR8 OBX1"),
    ]


def test_paths_count_inside_of_a_group() -> None:
    lines = ["ORC|A", "OBR|1", "OBX|1||x^y", "ORC|B", "OBR|2", "OBX|1", "OBX|2||z^w"]
    message = Message((HEAD + "\r".join(lines)).encode())
    assert message.get("/ORDER[2]/OBX[2]-3.2") == "w"
    assert message.get("ORDER/OBX-3.2") == "y"
    assert message.get("/ORDER[2]/OBX[3]-3.2") == ""
    assert message.get("/ORDER[3]/OBR-1") == ""
    message.set("/ORDER[2]/ORC-1", "CA")
    assert message.encode().decode() == HEAD + "\r".join(lines).replace("ORC|B", "ORC|CA")
