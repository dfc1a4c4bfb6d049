from __future__ import annotations

import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme

from vitalbridge.bridge.settings import Examination, examine

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = "pacs: {host: pacs.example}\n"


def examined(tmp_path: Path, text: str) -> Examination:
    path = tmp_path / "config.yaml"
    path.write_text(MINIMAL + text)
    return examine(path, {})


def texts(result: Examination) -> list[str]:
    return [f"{problem.key}: {problem.text}" for problem in result.problems]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certs")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.crt"))
    for name in ("server", "other"):
        issued = authority.issue_cert("bridge.local")
        issued.private_key_pem.write_to_path(str(directory / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(directory / f"{name}.crt"))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    old = authority.issue_cert(
        "old.local", not_before=yesterday - timedelta(days=9), not_after=yesterday
    )
    old.private_key_pem.write_to_path(str(directory / "old.key"))
    old.cert_chain_pems[0].write_to_path(str(directory / "old.crt"))
    (directory / "garbage").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    return directory


def tls(files: Path, cert: str, key: str, more: str = "") -> str:
    return (
        f"hl7: {{listener: {{tls: {{enabled: true, cert_path: {files / cert},"
        f" key_path: {files / key}{more}}}}}}}\n"
    )


def test_files_that_fit_are_fine(tmp_path: Path, files: Path) -> None:
    more = f", client_auth: required, ca_path: {files / 'ca.crt'}"
    result = examined(tmp_path, tls(files, "server.crt", "server.key", more))
    assert (result.problems, result.notes) == ([], [])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.crt", files / "server.key")


@pytest.mark.parametrize(
    ("cert", "key", "expected"),
    [
        ("none.crt", "server.key", "cert_path: Failed to load certificate: {}/none.crt: No such"),
        ("garbage", "server.key", "cert_path: Failed to load certificate: {}/garbage: no PEM"),
        ("server.crt", "garbage", "key_path: Failed to load private key: {}/garbage: no PEM"),
        ("server.crt", "other.key", "key_path: Failed to load private key: {}/other.key: it does"),
        ("", "server.key", "cert_path: Failed to load certificate: {}: Is a directory"),
    ],
)
def test_files_that_do_not_fit(
    tmp_path: Path, files: Path, cert: str, key: str, expected: str
) -> None:
    found = texts(examined(tmp_path, tls(files, cert, key)))
    assert len(found) == 1
    assert found[0].startswith("hl7.listener.tls." + expected.format(files))


def test_client_authentication_needs_an_authority(tmp_path: Path, files: Path) -> None:
    text = tls(files, "server.crt", "server.key", ", client_auth: optional")
    assert texts(examined(tmp_path, text)) == [
        "hl7.listener.tls.ca_path: Missing required field: hl7.listener.tls.ca_path"
    ]


def test_an_expired_certificate_is_a_note(tmp_path: Path, files: Path) -> None:
    result = examined(tmp_path, tls(files, "old.crt", "old.key"))
    assert result.problems == []
    assert [note.key for note in result.notes] == ["hl7.listener.tls.cert_path"]
    assert "expired on" in result.notes[0].text


def test_files_are_not_looked_at_without_tls(tmp_path: Path) -> None:
    text = "hl7: {listener: {tls: {enabled: false, cert_path: /none}}}\n"
    assert examined(tmp_path, text).problems == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_a_key_that_this_user_may_not_read_is_not_checked(tmp_path: Path, files: Path) -> None:
    private = tmp_path / "private.key"
    private.write_bytes((files / "server.key").read_bytes())
    private.chmod(0o600)
    code = (
        "import os, sys\n"
        "from vitalbridge.bridge.settings import certificates\n"
        "os.setuid(65534)\n"
        "print(list(certificates.examine(None, sys.argv[1], None)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(private)], capture_output=True, text=True, check=True
    )
    assert "not checked" in done.stdout
    assert "note=True" in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "monitoring: {health: {port: 2575}}",
            "monitoring.health.port: port 2575 is also that of hl7.listener.port",
        ),
        (
            "dicom: {port: 8081, bind_address: 10.0.0.1}",
            "dicom.port: port 8081 is also that of monitoring.health.port",
        ),
        ("dicom: {port: 8081, enabled: false}", None),
        (
            "dicom: {port: 3000, bind_address: 10.0.0.1}\n"
            "monitoring: {health: {port: 3000, bind_address: 10.0.0.2}}",
            None,
        ),
        (
            "hl7: {outbound: [{name: A, host: h, port: 1}, {name: A, host: h, port: 2}]}",
            "hl7.outbound[1].name: A is also hl7.outbound[0]",
        ),
        (
            "hl7: {outbound: [{name: mwl_manager, host: h, port: 1}]}",
            "hl7.outbound[0].name: mwl_manager is the name of one of the bridge's own parts",
        ),
        (
            "routing_rules: [{name: r, message_type_pattern: '*', destination: NOWHERE}]",
            "routing_rules[0].destination: no destination is called NOWHERE",
        ),
        ("routing_rules: [{name: r, message_type_pattern: '*', destination: mwl_manager}]", None),
        (
            "hl7: {sources: [{match: '*', application_ack_destination: RIS}]}",
            "hl7.sources[0].application_ack_destination: no hl7.outbound entry is called RIS",
        ),
        (
            "hl7: {sources: [{match: '*', charset: KLINGON}]}",
            "hl7.sources[0].charset: KLINGON is no character set of HL7 table 0211"
            " that MLLP carries",
        ),
        ("hl7: {sources: [{match: '*', charset: 8859/1}]}", None),
        (
            "mapping: {modality_ae_titles: {CT: [{ae_title: A, default: yes},"
            " {ae_title: B, default: yes}]}}",
            "mapping.modality_ae_titles.CT: more than one station is the default",
        ),
        (
            "mapping: {custom_field_mappings: {PID-18: NoKeyword}}",
            "mapping.custom_field_mappings.PID-18: 'NoKeyword' is no DICOM keyword",
        ),
        ("mapping: {custom_field_mappings: {PID-18: PatientComments}}", None),
        (
            "mapping: {accession_sources: [OBR18]}",
            "mapping.accession_sources[0]: not an HL7 field (write OBR-18 or PID-3.4)",
        ),
        (
            "queue: {body_retention: 100d}",
            "queue.body_retention: longer than queue.metadata_retention",
        ),
        (
            "queue: {metadata_retention: 1d, body_retention: 1d}",
            "queue.duplicate_window: longer than queue.metadata_retention",
        ),
        (
            "emr: {enabled: true, connection: {base_url: 'https://e'}, auth: {type: api_key}}",
            "emr.auth.api_key: Missing required field: emr.auth.api_key",
        ),
        ("hl7: {outbound: [{name: A, host: h, port: 1, tls: true}]}", None),
    ],
)
def test_keys_are_checked_together(tmp_path: Path, text: str, expected: str | None) -> None:
    assert texts(examined(tmp_path, text)) == ([] if expected is None else [expected])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_bridge_is_not_its_own_pacs(tmp_path: Path, host: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"pacs: {{host: {host}, port: 11112}}\n")
    assert [problem.key for problem in examine(path, {}).problems] == ["pacs.port"]
    path.write_text(f"pacs: {{host: {host}, port: 11112}}\ndicom: {{enabled: false}}\n")
    assert examine(path, {}).problems == []


@pytest.mark.parametrize(
    ("root", "good"),
    [
        ("2.25", True),
        ("1.2.826.0.1.3680043.10.1234", True),
        ("2.999", True),
        ("1.2.840.10008", False),
        ("1.2.840.100081", True),
        ("1.02.3", False),
        ("3.1", False),
        ("1.40", False),
        ("1", False),
        ("1.2.", False),
        ("1." + "2." * 20 + "3", False),
    ],
)
def test_uid_roots(tmp_path: Path, root: str, good: bool) -> None:
    found = examined(tmp_path, f"mapping: {{uid_root: '{root}'}}\n")
    assert (found.problems == []) is good


def test_uid_roots_agree_with_what_makes_uids() -> None:
    from pydantic import ValidationError

    from vitalbridge.bridge.settings.mapping import MappingSettings
    from vitalbridge.translate.uids import check_root

    for root in ("2.25", "1.2.3", "1.40", "0.39.5", "2.1000", "1.2.840.10008.1", "9", "1.2.03"):
        try:
            check_root(root)
        except ValueError:
            with pytest.raises(ValidationError):
                MappingSettings(uid_root=root)
        else:
            assert MappingSettings(uid_root=root).uid_root == root


def test_findings_of_a_broken_list_do_not_name_the_wrong_entry(tmp_path: Path) -> None:
    text = """
hl7:
  outbound:
    - {name: A, host: h}
    - {name: B, host: h, port: 1, tls: {enabled: true, ca_path: /none}}
routing_rules: [{name: r, message_type_pattern: '*', destination: A}]
"""
    assert texts(examined(tmp_path, text)) == [
        "hl7.outbound[0].port: Missing required field: hl7.outbound[0].port"
    ]
