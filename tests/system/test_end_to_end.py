"""From the wire of the sender to the screen of the modality, with outside peers at both ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hl7.client
import pytest
import trustme
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]
from running_bridge import (
    FS_CR,
    PROGRAM,
    VT,
    RunningBridge,
    Sender,
    acknowledgement,
    order_message,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = "MSH|^~\\&|RIS|HOSPITAL|PACS_BRIDGE|RADIOLOGY"
STUDY_UID = "1.2.840.113619.2.55.3.604688119.929.1234567890.1"
SAMPLE = "\r".join(
    [
        f"{HEADER}|20231115120000||ORM^O01|{{control_id}}|P|2.5.1",
        "PID|1||12345^^^HOSPITAL^MR||DOE^JOHN^ANDREW||19800115|M",
        "ORC|NW|ORD001^RIS|ACC001^PACS||SC||||20231115120000|||1234^SMITH^ROBERT^J^MD",
        "OBR|1|ORD001^RIS|ACC001^PACS|71260^CT CHEST W/O CONTRAST^CPT|||20231115140000|||||||||"
        "1234^SMITH^ROBERT^J^MD||ACC001||||||CT",
        f"ZDS|{STUDY_UID}",
        "",
    ]
)


TOP = ["PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"]
TOP += ["AccessionNumber", "StudyInstanceUID", "RequestedProcedureID"]
STEP = ["Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate"]
STEP += ["ScheduledProcedureStepStartTime", "ScheduledProcedureStepID"]


def worklist(bridge: RunningBridge, **keys: str) -> list[Dataset]:
    """What pynetdicom finds: patient, order and the one step, for the keys given."""
    query, step = Dataset(), Dataset()
    for keyword in TOP:
        setattr(query, keyword, keys.get(keyword, ""))
    for keyword in STEP:
        setattr(step, keyword, keys.get(keyword, ""))
    query.ScheduledProcedureStepSequence = [step]
    ae = AE("MODALITY")
    ae.add_requested_context(ModalityWorklistInformationFind)
    association = ae.associate("127.0.0.1", bridge.dicom_port, ae_title="PACS_BRIDGE")
    assert association.is_established
    found = []
    for status, identifier in association.send_c_find(query, ModalityWorklistInformationFind):
        if status.Status in (0xFF00, 0xFF01):
            assert identifier is not None
            found.append(identifier)
        else:
            assert status.Status == 0
    association.release()
    return found


def wait_for(bridge: RunningBridge, count: int, **keys: str) -> list[Dataset]:
    """The worklist entries for the keys, as soon as there are so many."""
    deadline = time.monotonic() + 10
    while True:
        found = worklist(bridge, **keys)
        if len(found) == count:
            return found
        assert time.monotonic() < deadline, f"{len(found)} entries instead of {count}"
        time.sleep(0.02)


def ask(bridge: RunningBridge, *messages: bytes) -> list[tuple[str, str]]:
    """MSA-1 and MSA-2 of the answers to messages sent over one connection."""
    with closing(Sender(bridge.hl7_port)) as sender:
        return [acknowledgement(sender.ask(message)) for message in messages]


def admission(control_id: str, event: str, patient: str, name: str, extra: str = "") -> bytes:
    lines = [
        f"MSH|^~\\&|HIS|CITY|PACS_BRIDGE|RADIOLOGY|{timestamp()}||ADT^{event}|{control_id}|P|2.5.1",
        f"EVN|{event}|{timestamp()}",
        f"PID|1||{patient}^^^CITY^MR||{name}||19800115|M",
        extra or "PV1|1|O",
    ]
    return ("\r".join(lines) + "\r").encode()


# -- the sample order -------------------------------------------------------------------------


def test_the_sample_order_by_python_hl7(bridge: RunningBridge) -> None:
    with hl7.client.MLLPClient("127.0.0.1", bridge.hl7_port) as client:
        answer = client.send_message(SAMPLE.format(control_id="SAMPLE1"))
    assert acknowledgement(answer.strip(VT + FS_CR)) == ("AA", "SAMPLE1")


def test_the_sample_order_by_netcat(bridge: RunningBridge) -> None:
    text = SAMPLE.format(control_id="SAMPLE2").replace("\\", "\\\\").replace("\r", "\\r")
    command = f"printf '\\013{text}\\034\\r' | nc -w 5 -q 1 127.0.0.1 {bridge.hl7_port}"
    result = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=20)
    assert acknowledgement(result.stdout.strip(VT + FS_CR)) == ("AA", "SAMPLE2")


IN_STEP = "ScheduledProcedureStepSequence[0]"
CODE = f"{IN_STEP}.ScheduledProtocolCodeSequence[0]"
KEYS = [keyword for keyword in TOP if keyword != "AccessionNumber"]
KEYS += ["AccessionNumber=ACC001", "RequestingPhysician", "RequestedProcedureDescription"]
KEYS += ["PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"]
KEYS += [f"{IN_STEP}.{keyword}" for keyword in STEP]
KEYS += [f"{IN_STEP}.ScheduledProcedureStepStatus"]
KEYS += [f"{CODE}.CodeValue", f"{CODE}.CodingSchemeDesignator"]


def test_findscu_gets_the_values_of_the_sample_order(bridge: RunningBridge, tmp_path: Path) -> None:
    assert ask(bridge, SAMPLE.format(control_id="SAMPLE3").encode()) == [("AA", "SAMPLE3")]
    wait_for(bridge, 1, AccessionNumber="ACC001")
    command = ["findscu", "-W", "-aet", "CT_SCANNER_1", "-aec", "PACS_BRIDGE", "-X"]
    command += ["-od", str(tmp_path), "127.0.0.1", str(bridge.dicom_port)]
    for key in KEYS:
        command += ["-k", key]
    subprocess.run(command, check=True, timeout=30, capture_output=True)
    [path] = tmp_path.glob("rsp*.dcm")
    found = dcmread(path, force=True)
    [step] = found.ScheduledProcedureStepSequence
    [code] = step.ScheduledProtocolCodeSequence
    assert step.pop("ScheduledProcedureStepID").value
    assert {
        "name": str(found.PatientName),
        "id": found.PatientID,
        "issuer": found.IssuerOfPatientID,
        "birth": found.PatientBirthDate,
        "sex": found.PatientSex,
        "accession": found.AccessionNumber,
        "physician": str(found.RequestingPhysician),
        "study": found.StudyInstanceUID,
        "procedure": found.RequestedProcedureID,
        "description": found.RequestedProcedureDescription,
        "placer": found.PlacerOrderNumberImagingServiceRequest,
        "filler": found.FillerOrderNumberImagingServiceRequest,
        "modality": step.Modality,
        "station": step.ScheduledStationAETitle,
        "date": step.ScheduledProcedureStepStartDate,
        "time": step.ScheduledProcedureStepStartTime,
        "status": step.ScheduledProcedureStepStatus,
        "code": (code.CodeValue, code.CodingSchemeDesignator),
    } == {
        "name": "DOE^JOHN^ANDREW",
        "id": "12345",
        "issuer": "HOSPITAL",
        "birth": "19800115",
        "sex": "M",
        "accession": "ACC001",
        "physician": "SMITH^ROBERT^J^^MD",
        "study": STUDY_UID,
        "procedure": "ACC001",
        "description": "CT CHEST W/O CONTRAST",
        "placer": "ORD001",
        "filler": "ACC001",
        "modality": "CT",
        "station": "CT_SCANNER_1",
        "date": "20231115",
        "time": "140000",
        "status": "SCHEDULED",
        "code": ("71260", "CPT"),
    }


def test_an_imaging_order_with_two_steps_is_two_entries_of_one_study(
    bridge: RunningBridge,
) -> None:
    message = "\r".join(
        [
            f"{HEADER}|{timestamp()}||OMI^O23^OMI_O23|OMI1|P|2.5.1",
            "PID|1||OMIP^^^CITY^MR||DOE^JANE||19800115|F",
            "ORC|NW|OMI1^RIS|OMI1F^PACS",
            "TQ1|1||||||20991231090000||R",
            "OBR|1|OMI1^RIS|OMI1F^PACS|24627-2^CT CHEST^LN|||||||||||||||||||||CT",
            "IPC|OMIACC|OMIRP|1.2.3.4.5|OMISTEP1|CT|P1^CHEST^99LOCAL|||CT_SCANNER_1",
            "IPC|OMIACC|OMIRP|1.2.3.4.5|OMISTEP2|CT|P2^ABDOMEN^99LOCAL|||CT_SCANNER_1",
            "",
        ]
    )
    assert ask(bridge, message.encode()) == [("AA", "OMI1")]
    found = wait_for(bridge, 2, AccessionNumber="OMIACC")
    assert {one.StudyInstanceUID for one in found} == {"1.2.3.4.5"}
    steps = [one.ScheduledProcedureStepSequence[0] for one in found]
    assert sorted(one.ScheduledProcedureStepID for one in steps) == ["OMISTEP1", "OMISTEP2"]


# -- names in their own writing ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "codec", "sent", "shown"),
    [
        (
            "~ISO IR87",
            "iso2022_jp",
            "YAMADA^TARO^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P",
            "YAMADA^TARO=山田^太郎=やまだ^たろう",
        ),
        ("8859/7", "iso8859_7", "Διονύσιος^Νίκος", "Διονύσιος^Νίκος"),
        ("KS X 1001", "euc_kr", "김^희중", "김^희중"),
        ("GB 18030-2000", "gb18030", "王^小東", "王^小東"),
        ("UNICODE UTF-8", "utf-8", "Ñandú^Øyvind", "Ñandú^Øyvind"),
    ],
)
def test_names_arrive_in_their_own_writing(
    bridge: RunningBridge, stated: str, codec: str, sent: str, shown: str
) -> None:
    name = f"NAME{codec}".replace("_", "").upper()[:16]
    raw = order_message(name, name, patient=name, name="@NAME@")
    raw = raw.replace(b"|P|2.5.1", b"|P|2.5.1||||||" + stated.encode())
    assert ask(bridge, raw.replace(b"@NAME@", sent.encode(codec))) == [("AA", name)]
    [found] = wait_for(bridge, 1, AccessionNumber=name)
    assert str(found.PatientName) == shown


# -- what happens to an order afterwards ------------------------------------------------------


def test_a_changed_patient_changes_on_the_worklist(bridge: RunningBridge) -> None:
    assert ask(
        bridge,
        order_message("UPD1", "UPD1", patient="UPDP", name="OLD^NAME"),
        admission("UPD2", "A08", "UPDP", "NEW^NAME"),
    ) == [("AA", "UPD1"), ("AA", "UPD2")]
    [found] = wait_for(bridge, 1, AccessionNumber="UPD1", PatientName="NEW*")
    assert str(found.PatientName) == "NEW^NAME"


def test_orders_of_a_merged_patient_are_the_survivors(bridge: RunningBridge) -> None:
    assert [
        code
        for code, _ in ask(
            bridge,
            admission("MRG1", "A04", "SURVIVOR", "GOOD^NAME"),
            order_message("MRG2", "MRG2", patient="RETIRED", name="GOOD^NAME"),
            admission("MRG3", "A40", "SURVIVOR", "GOOD^NAME", "MRG|RETIRED^^^CITY^MR"),
            order_message("MRG4", "MRG4", patient="RETIRED", name="GOOD^NAME"),
        )
    ] == ["AA"] * 4
    for accession in ("MRG2", "MRG4"):
        [found] = wait_for(bridge, 1, AccessionNumber=accession, PatientID="SURVIVOR")
        assert found.IssuerOfPatientID == "CITY"


def test_a_cancelled_order_leaves_the_worklist(bridge: RunningBridge) -> None:
    ask(bridge, order_message("CAN1", "CAN1"))
    wait_for(bridge, 1, AccessionNumber="CAN1")
    assert ask(bridge, order_message("CAN2", "CAN1", control="CA")) == [("AA", "CAN2")]
    wait_for(bridge, 0, AccessionNumber="CAN1")


def test_a_moved_order_shows_its_new_time(bridge: RunningBridge) -> None:
    ask(bridge, order_message("MOV1", "MOV1", start="20991231100000"))
    ask(bridge, order_message("MOV2", "MOV1", control="XO", start="20991230113000"))
    [found] = wait_for(
        bridge, 1, AccessionNumber="MOV1", ScheduledProcedureStepStartDate="20991230"
    )
    assert found.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime == "113000"


def test_an_order_given_to_the_day_only_is_found_on_that_day(bridge: RunningBridge) -> None:
    ask(bridge, order_message("DAY1", "DAY1", start="20990102"))
    for asked in ("20990102", "20990101-20990102", "20990102-"):
        wait_for(bridge, 1, AccessionNumber="DAY1", ScheduledProcedureStepStartDate=asked)
    wait_for(bridge, 0, AccessionNumber="DAY1", ScheduledProcedureStepStartDate="20990103")


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "fault", "place"),
    [
        ((b"\rOBR|", b"\rZZZ|"), "AE", "100", "OBR^1"),
        ((b"|71260^CT CHEST^CPT|", b"||"), "AE", "101", "OBR^1^4"),
        ((b"ORM^O01", b"XXX^X01"), "AR", "200", "MSH^1^9"),
        ((b"|P|2.5.1", b"|T|2.5.1"), "AR", "202", "MSH^1^11"),
        ((b"|P|2.5.1", b"|P|3.0"), "AR", "203", "MSH^1^12"),
    ],
)
def test_a_refusal_names_its_reason(
    bridge: RunningBridge, change: tuple[bytes, bytes], code: str, fault: str, place: str
) -> None:
    with closing(Sender(bridge.hl7_port)) as sender:
        answer = sender.ask(order_message("REF1", "REF1").replace(*change)).decode()
    assert acknowledgement(answer.encode()) == (code, "REF1")
    assert f"|{fault}^" in answer
    assert place in answer
    assert worklist(bridge, AccessionNumber="REF1") == []


def test_a_message_over_the_limit_is_refused_and_the_next_one_is_not(
    new_bridge: Callable[..., RunningBridge],
) -> None:
    bridge = new_bridge(configuration={"hl7": {"listener": {"max_message_size": 100_000}}})
    bridge.configure({"hl7": {"listener": {"max_message_size": 100_000}}})
    bridge.start()
    large = order_message("BIG1", "BIG1", extra="NTE|1||" + "x" * 200_000)
    assert ask(bridge, large, order_message("BIG2", "BIG2")) == [("AR", "BIG1"), ("AA", "BIG2")]


def test_the_same_message_again_is_answered_the_same_and_changes_nothing(
    bridge: RunningBridge,
) -> None:
    raw = order_message("DUP1", "DUP1")
    with closing(Sender(bridge.hl7_port)) as sender:
        first, second = sender.ask(raw), sender.ask(raw)
    assert first == second
    wait_for(bridge, 1, AccessionNumber="DUP1")
    assert bridge.metric("hl7_messages_duplicate_total") >= 1


# -- health and metrics -----------------------------------------------------------------------


def test_health_says_how_each_part_is(bridge: RunningBridge) -> None:
    status, text = bridge.get("/health")
    report = json.loads(text)
    components = report["components"]
    assert (status, report["status"]) == (200, "degraded")
    assert components["pacs_connection"]["status"] == "down"
    assert {name: components[name]["status"] for name in components} == {
        "hl7_listener": "up",
        "pacs_connection": "down",
        "patient_cache": "up",
        "message_queue": "up",
        "worklist_server": "up",
    }
    assert components["hl7_listener"]["details"]["max_connections"] == 100
    assert components["message_queue"]["details"]["threshold"] == 1000
    assert bridge.get("/health/live")[0] == bridge.get("/health/ready")[0] == 200
    deep = json.loads(bridge.get("/health/deep")[1])
    assert deep["status"] == "degraded"


def test_metrics_count_what_happened(bridge: RunningBridge) -> None:
    names = (
        "hl7_messages_received_total",
        "hl7_ack_sent_total",
        "mwl_entries_created_total",
        "mwl_query_results_total",
        "mllp_total_connections",
    )
    before = {name: bridge.metric(name) for name in names}
    ask(bridge, order_message("MET1", "MET1"))
    wait_for(bridge, 1, AccessionNumber="MET1")
    after = {name: bridge.metric(name) - before[name] for name in names}
    assert after == dict.fromkeys(names, 1)
    text = bridge.get("/metrics")[1]
    assert re.search(r'^hl7_messages_received_total\{message_type="ORM\^O01"\} [1-9]', text, re.M)
    assert bridge.metric("queue_depth") == 0
    assert bridge.metric("process_resident_memory_bytes") < 400e6


def test_metrics_stay_text_whatever_a_sender_calls_itself(bridge: RunningBridge) -> None:
    ask(bridge, order_message("NUL1", "NUL1", sender="A\x00B\x1bC"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", bridge.get("/metrics")[1])


# -- stop, restart, signals -------------------------------------------------------------------


def test_a_stop_answers_what_is_in_flight_and_keeps_it(
    new_bridge: Callable[..., RunningBridge],
) -> None:
    bridge = new_bridge()
    bridge.start()
    told: list[str] = []
    halt = threading.Event()

    def send(name: str) -> None:
        with closing(Sender(bridge.hl7_port)) as sender:
            for n in range(100_000):
                raw = order_message(f"{name}{n}", f"{name}{n}")
                try:
                    code, control_id = acknowledgement(sender.ask(raw))
                except OSError:
                    return
                assert code == "AA"
                told.append(control_id)
                if halt.is_set():
                    return

    senders = [threading.Thread(target=send, args=(f"T{n}X",)) for n in range(4)]
    for one in senders:
        one.start()
    while len(told) < 200:
        time.sleep(0.005)
    started = time.monotonic()
    assert bridge.stop() == 0
    assert time.monotonic() - started < 10
    halt.set()
    for one in senders:
        one.join(10)
    assert not list(bridge.database_path.parent.glob("*-wal"))
    with closing(sqlite3.connect(bridge.database_path)) as database:
        kept = {row[0] for row in database.execute("SELECT control_id FROM inbound")}
    assert set(told) <= kept
    bridge.start()
    wait_for(bridge, 1, AccessionNumber=told[-1])


def test_a_second_instance_ends_with_one_line(
    bridge: RunningBridge, new_bridge: Callable[..., RunningBridge]
) -> None:
    other = new_bridge()
    other.configure({"queue": {"database_path": str(bridge.database_path)}})
    result = subprocess.run(
        [PROGRAM, "--config", other.config_path],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert f"is in use by another process (pid {bridge.pid})" in line


@pytest.mark.parametrize("section", ["hl7", "dicom", "health"])
def test_a_taken_port_ends_it_with_one_line(
    bridge: RunningBridge, new_bridge: Callable[..., RunningBridge], section: str
) -> None:
    other = new_bridge()
    taken: dict[str, Any] = {
        "hl7": {"hl7": {"listener": {"port": bridge.hl7_port}}},
        "dicom": {"dicom": {"port": bridge.dicom_port}},
        "health": {"monitoring": {"health": {"port": bridge.health_port}}},
    }
    other.configure(taken[section])
    result = subprocess.run(
        [PROGRAM, "--config", other.config_path],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "ddress already in use" in line


def test_hangups_before_it_is_ready_do_not_end_it(
    new_bridge: Callable[..., RunningBridge],
) -> None:
    bridge = new_bridge()
    bridge.spawn()
    status = Path(f"/proc/{bridge.pid}/status")
    while not int(status.read_text().partition("SigIgn:")[2].split()[0], 16) & 1:
        time.sleep(0.001)
    sent = 0
    while not bridge.is_ready():
        bridge.signal(signal.SIGHUP)
        sent += 1
        assert bridge.process is not None
        assert bridge.process.poll() is None
    assert sent > 1
    assert ask(bridge, order_message("HUP1", "HUP1")) == [("AA", "HUP1")]


def test_a_hangup_takes_over_what_can_be_changed(
    new_bridge: Callable[..., RunningBridge],
) -> None:
    bridge = new_bridge()
    bridge.start()
    assert ask(bridge, order_message("REL1", "REL1").replace(b"|P|", b"|T|"))[0][0] == "AR"
    bridge.configure({"hl7": {"sources": [{"match": "RIS", "processing_ids": ["P", "T"]}]}})
    bridge.signal(signal.SIGHUP)
    wait_for_metric(bridge, "config_reloads_total", 1)
    assert ask(bridge, order_message("REL2", "REL2").replace(b"|P|", b"|T|")) == [("AA", "REL2")]
    bridge.config_path.write_text("hl7: [not, what, it, should, be]", encoding="utf-8")
    bridge.signal(signal.SIGHUP)
    wait_for_metric(bridge, "config_reloads_total", 2)
    assert ask(bridge, order_message("REL3", "REL3").replace(b"|P|", b"|T|")) == [("AA", "REL3")]
    assert "configuration not reloaded" in bridge.log_path.read_text(encoding="utf-8")


def wait_for_metric(bridge: RunningBridge, name: str, value: float) -> None:
    deadline = time.monotonic() + 10
    while bridge.metric(name) != value:
        assert time.monotonic() < deadline, f"{name} is {bridge.metric(name)}"
        time.sleep(0.02)


def test_usr1_opens_the_log_anew(new_bridge: Callable[..., RunningBridge]) -> None:
    bridge = new_bridge()
    bridge.start()
    rotated = bridge.log_path.with_suffix(".1")
    bridge.log_path.rename(rotated)
    bridge.signal(signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while not bridge.log_path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ask(bridge, order_message("USR1", "USR1"))
    assert bridge.stop() == 0
    assert '"message":"stopped"' in bridge.log_path.read_text(encoding="utf-8")
    assert '"message":"stopped"' not in rotated.read_text(encoding="utf-8")


# -- TLS --------------------------------------------------------------------------------------


def tls_files(folder: Path, authority: trustme.CA) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    for n, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "server.crt", append=n > 0)
    authority.cert_pem.write_to_path(folder / "ca.crt")
    return {
        "cert_path": str(folder / "server.crt"),
        "key_path": str(folder / "server.key"),
        "ca_path": str(folder / "ca.crt"),
    }


def ask_over_tls(port: int, context: ssl.SSLContext, raw: bytes) -> tuple[str, str]:
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(VT + raw + FS_CR)
        received = b""
        while not received.endswith(FS_CR):
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("closed")
            received += data
    return acknowledgement(received.strip(VT + FS_CR))


def test_tls_beside_the_plain_port(
    new_bridge: Callable[..., RunningBridge], tmp_path: Path
) -> None:
    authority = trustme.CA()
    bridge = new_bridge()
    port = RunningBridge(tmp_path / "spare").hl7_port
    files = tls_files(tmp_path / "certs", authority)
    bridge.configure({"hl7": {"listener": {"tls": {"enabled": True, "port": port, **files}}}})
    bridge.start()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    assert ask_over_tls(port, context, order_message("TLS1", "TLS1")) == ("AA", "TLS1")
    assert ask(bridge, order_message("TLS2", "TLS2")) == [("AA", "TLS2")]
    stranger = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        ask_over_tls(port, stranger, order_message("TLS3", "TLS3"))


def test_mutual_tls_lets_in_only_who_shows_a_certificate(
    new_bridge: Callable[..., RunningBridge], tmp_path: Path
) -> None:
    authority = trustme.CA()
    bridge = new_bridge()
    files = tls_files(tmp_path / "certs", authority)
    tls = {"enabled": True, "client_auth": "required", **files}
    bridge.configure({"hl7": {"listener": {"tls": tls}}})
    bridge.start()
    known, unknown = ssl.create_default_context(), ssl.create_default_context()
    for context in (known, unknown):
        authority.configure_trust(context)
    authority.issue_cert("ris.hospital.local").configure_cert(known)
    message = order_message("MTLS1", "MTLS1")
    assert ask_over_tls(bridge.hl7_port, known, message) == ("AA", "MTLS1")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask_over_tls(bridge.hl7_port, unknown, order_message("MTLS2", "MTLS2"))
    with closing(sqlite3.connect(f"file:{bridge.database_path}?mode=ro", uri=True)) as database:
        kept = [row[0] for row in database.execute("SELECT control_id FROM inbound")]
    assert kept == ["MTLS1"]


# -- no personal data where it does not belong ------------------------------------------------


def test_no_log_line_no_metric_and_no_answer_tells_who_the_patient_is(
    new_bridge: Callable[..., RunningBridge],
) -> None:
    bridge = new_bridge(configuration={"logging": {"level": "trace"}})
    bridge.configure({"logging": {"level": "trace"}})
    bridge.start()
    mark = "ZQPHI"
    person = (
        f"PID|1||{mark}ID^^^CITY^MR~{mark}SSN^^^USA^SS||{mark}NAME^{mark}GIVEN^^^^^L||19800115|M"
        f"|||{mark}STREET^^{mark}TOWN||{mark}PHONE|||||{mark}ACCOUNT"
    )
    sound = order_message("PHI", "PHI").decode().split("\r")
    sound[1] = person
    variants = ["\r".join(sound)]
    variants.append("\r".join([*sound[:1], person.replace("19800115", f"{mark}BIRTH"), *sound[2:]]))
    variants.append("\r".join([*sound[:1], person.replace("|M", f"|{mark}SEX"), *sound[2:]]))
    variants.append("\r".join([*sound[:2], sound[2].replace("NW", f"{mark}CODE"), *sound[3:]]))
    variants.append(
        "\r".join([*sound[:1], person.replace(f"{mark}ID", f"{mark}" * 30), *sound[2:]])
    )
    variants.append("\r".join([sound[0], person, sound[2].replace("NW", "XO"), *sound[3:]]))
    variants.append(
        "\r".join([sound[0].replace("ORM^O01", "ADT^A40"), person, f"MRG|{mark}OLD", ""])
    )
    variants.append("\r".join([sound[0], f"{person}\xff\xfe", *sound[2:]]))
    variants.append("\r".join([sound[0][:40], person, *sound[2:]]))
    for n, text in enumerate(variants):
        ask(bridge, text.replace("|PHI|P|", f"|PHI{n}|P|").encode("latin-1"))
    with closing(Sender(bridge.hl7_port)) as sender:
        sender.write(person.encode() + FS_CR + VT + person.encode() + FS_CR)
        sender.ask(order_message("LAST", "LAST"))
    wait_for(bridge, 1, PatientName=f"{mark}NAME*")
    worklist(bridge, PatientID=f"{mark}ID")
    seen = bridge.get("/metrics")[1] + bridge.get("/health")[1]
    assert bridge.stop() == 0
    seen += bridge.output()
    for path in bridge.folder.glob("*.log*"):
        seen += path.read_text(encoding="utf-8")
    assert "PACS Bridge is ready" in seen
    assert [line for line in seen.split("\n") if mark in line] == []


def test_folders_are_not_for_everybody(bridge: RunningBridge) -> None:
    assert bridge.database_path.stat().st_mode & 0o007 == 0
    assert os.access(bridge.database_path, os.R_OK)
    assert shutil.which("findscu"), "the tests of this module play against dcmtk"
