from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.bridge.settings import (
    ConfigurationError,
    Settings,
    examine,
    inert_keys,
    load,
    source_for,
)
from vitalbridge.bridge.settings.load import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = "pacs: {host: pacs.example}\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    path = write(tmp_path, text)
    return [str(problem).removeprefix(str(path)) for problem in examine(path, environ).problems]


def settings(tmp_path: Path, text: str, **environ: str) -> Settings:
    return load(write(tmp_path, text), environ)


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    found = settings(tmp_path, MINIMAL)
    assert found.pacs.host == "pacs.example"
    assert found.hl7.listener.port == 2575
    assert found.hl7.listener.max_connections == 100
    assert found.hl7.listener.connections_per_address == 100
    assert found.hl7.listener.max_message_size == 10_485_760
    assert found.queue.database_path == "/var/lib/pacs_bridge/queue.db"
    assert found.queue.duplicate_window == 72 * 3600
    assert found.monitoring.health.port == 8081
    assert found.dicom.port == 11112
    assert found.policy.same_order_after_error == "go_on"
    assert found.mapping.modality_aliases == {"XR": "DX"}
    assert inert_keys(found) == []


def test_built_in_defaults_need_no_file_and_no_root() -> None:
    found = load(None, {"HOME": "/home/ann"})
    assert found.queue.database_path == "/home/ann/.local/state/vitalbridge/pacs_bridge/queue.db"
    assert (found.pacs.host, found.pacs.port) == ("localhost", 4242)
    assert load(None, {"XDG_STATE_HOME": "/s"}).queue.database_path.startswith("/s/vitalbridge/")


def test_inline_comments_and_units(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        MINIMAL
        + """
hl7:
  listener:
    max_message_size: 10485760  # 10MB
    idle_timeout: 3600s  # 1 hour
  outbound:
    - {name: RIS, host: ris, port: 2576, retry_delay: 2000}  # milliseconds
queue:
  min_free_disk: 1GiB
  message_ttl: 2d
""",
    )
    assert found.hl7.listener.max_message_size == 10_485_760
    assert found.hl7.listener.idle_timeout == 3600
    assert found.hl7.outbound[0].retry_delay == 2.0
    assert found.queue.min_free_disk == 1024**3
    assert found.queue.message_ttl == 172_800


def test_json_is_a_configuration_too(tmp_path: Path) -> None:
    text = json.dumps({"pacs": {"host": "p", "port": 104}, "fhir": {"enabled": True}})
    found = settings(tmp_path, text)
    assert found.pacs.port == 104
    assert found.fhir.enabled is True


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """\
hl7:
  listener:
    port: 99999
    idle_timeout: 5 parsecs
    colour: blue
    tls: true
  outbound:
    - {name: RIS, host: ris}
logging:
  level: LOUD
  level: info
pacs:
  port: 11112
dicom:
  ae_title: A_TITLE_LONGER_THAN_16
  peers: [{ae_title: CT1, character_sets: [KLINGON]}]
queue:
  max_queue_size: 0
  enable_wal: no
mapping:
  timezone: Mars/Olympus
  uid_root: 1.2.840.10008.5
server: PACS
"""
    assert problems(tmp_path, text) == [
        ":3: hl7.listener.port: Invalid port number: 99999",
        ":4: hl7.listener.idle_timeout: Invalid duration format: '5 parsecs'"
        " (write 500ms, 30s, 5m, 1h or 7d)",
        ":5: hl7.listener.colour: unknown key",
        ":6: hl7.listener.tls.cert_path: Missing required field: hl7.listener.tls.cert_path",
        ":6: hl7.listener.tls.key_path: Missing required field: hl7.listener.tls.key_path",
        ":8: hl7.outbound[0].port: Missing required field: hl7.outbound[0].port",
        ":10: logging.level: must be one of trace, debug, info, warn, error or fatal",
        ":11: logging.level: duplicate key, already on line 10",
        ":12: pacs.host: Missing required field: pacs.host",
        ":15: dicom.ae_title: not an AE title: 1 to 16 printable ASCII characters without"
        " backslash (DICOM PS3.5 6.2)",
        ":16: dicom.peers[0].character_sets[0]: KLINGON is no value of (0008,0005)",
        ":18: queue.max_queue_size: must be at least 1",
        ":19: queue.enable_wal: can't be switched off: durability depends on it",
        ":21: mapping.timezone: unknown time zone Mars/Olympus (write Europe/Vienna or UTC)",
        ":22: mapping.uid_root: 1.2.840.10008 is DICOM's own root; use your organization's,"
        " or 2.25",
        ":23: server: must be a mapping of keys",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", ":1: pacs.host: Missing required field: pacs.host"),
        ("", ":1: pacs.host: Missing required field: pacs.host"),
        ("pacs:\n", ":1: pacs.host: Missing required field: pacs.host"),
        ("- a\n", ":1: must be a mapping of keys"),
        ("pacs: {host: p, prot: 1}", ":1: pacs.prot: unknown key (did you mean port?)"),
        ("pacs: {host: p, port: 0}", ":1: pacs.port: Invalid port number: 0"),
        ("pacs: {host: p, port: -1}", ":1: pacs.port: Invalid port number: -1"),
        ("pacs: {host: p, port: http}", ":1: pacs.port: Invalid port number: http"),
        ("pacs: {host: 'p q'}", ":1: pacs.host: must be a host name or an IP address"),
        (MINIMAL + "dicom: {enabled: maybe}", ":2: dicom.enabled: must be true or false"),
        (MINIMAL + "dicom: {max_results: many}", ":2: dicom.max_results: must be a whole number"),
        (MINIMAL + "dicom: {peers: CT1}", ":2: dicom.peers: must be a list"),
        (
            MINIMAL + "dicom: {allowed_addresses: [10.1.0.0/16, ct1.hospital]}",
            ":2: dicom.allowed_addresses[1]: must be an IP address or a network such as"
            " 10.1.0.0/16",
        ),
        (
            MINIMAL + "dicom: {allowed_addresses: [10.1.2.3/16]}",
            ":2: dicom.allowed_addresses[0]: has bits set beyond its prefix: write 10.1.2.3 or"
            " 10.1.0.0/16",
        ),
        (
            MINIMAL + "dicom: {peers: [{ae_title: CT1, addresses: ['::ffff:10.1.2.3']}]}",
            ":2: dicom.peers[0].addresses[0]: must be written as IPv4, without ::ffff:",
        ),
        (
            MINIMAL + "dicom: {allowed_addresses: 10.1.0.0/16}",
            ":2: dicom.allowed_addresses: must be a list",
        ),
        (
            MINIMAL + "dicom: {require_called_ae: 2}",
            ":2: dicom.require_called_ae: must be true or false",
        ),
        (MINIMAL + "mapping: {procedure_to_modality: [CT]}", None),
        (MINIMAL + "queue: {min_free_disk: big}", None),
        (MINIMAL + "tracing: {sample_rate: 2}", ":2: tracing.sample_rate: must be at most 1"),
        (MINIMAL + "worklist: {max_age: 0s}", ":2: worklist.max_age: must be longer than zero"),
        (MINIMAL + "hl7: [1, 2\n", None),
    ],
)
def test_each_problem_has_its_place_and_words(
    tmp_path: Path, text: str, expected: str | None
) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    if expected is not None:
        assert found == [expected]


def test_an_unreadable_file_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "none.yaml", {})
    assert str(caught.value) == (f"{tmp_path}/none.yaml: can't be read: No such file or directory")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load(tmp_path, {})


def test_the_environment_counts_before_the_file(tmp_path: Path) -> None:
    text = MINIMAL + "logging: {level: warn}\nhl7: {listener: {tls: false}}\n"
    found = settings(
        tmp_path,
        text,
        LOG_LEVEL="debug",
        PACS_HOST="other",
        PACS_PORT="104",
        PACS_BRIDGE_MLLP_PORT="3000",
        PACS_BRIDGE_AE_TITLE="BRIDGE2",
        PACS_BRIDGE_CERT_PATH="/c",
        PACS_CALLED_AE="",
    )
    assert found.logging.level == "debug"
    assert (found.pacs.host, found.pacs.port) == ("other", 104)
    assert found.pacs.called_ae == "PACS_SCP"
    assert found.hl7.listener.port == 3000
    assert found.pacs.ae_title == found.dicom.ae_title == "BRIDGE2"
    assert found.hl7.listener.tls.enabled is False
    assert found.hl7.listener.tls.cert_path == "/c"


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path, MINIMAL, LOG_LEVEL="LOUD", PACS_BRIDGE_MLLP_PORT="70000") == [
        "environment variable LOG_LEVEL: logging.level:"
        " must be one of trace, debug, info, warn, error or fatal",
        "environment variable PACS_BRIDGE_MLLP_PORT: hl7.listener.port: Invalid port number: 70000",
    ]


def test_addresses_that_kubernetes_sets_are_no_ports(tmp_path: Path) -> None:
    text = "pacs: {host: p, port: '${PACS_PORT:-105}'}\n"
    found = settings(
        tmp_path,
        text,
        PACS_PORT="tcp://10.0.0.7:11112",
        PACS_BRIDGE_PORT="udp://10.0.0.8:2575",
    )
    assert found.pacs.port == 105
    assert found.hl7.listener.port == 2575


def test_an_unset_variable_is_one_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, "pacs:\n  host: ${PACS_HOST_NAME}\n") == [
        ":2: pacs.host: environment variable PACS_HOST_NAME is not set and has no default"
    ]


def test_every_variable_sets_its_keys(tmp_path: Path) -> None:
    for variable, places in ENVIRONMENT.items():
        value = "4321" if "PORT" in variable else "warn" if variable == "LOG_LEVEL" else "VALUE"
        found = settings(tmp_path, MINIMAL, **{variable: value})
        for place in places:
            held: Any = found
            for part in place:
                held = getattr(held, str(part))
            shown = held.get_secret_value() if hasattr(held, "get_secret_value") else str(held)
            assert shown == value


def test_other_places_of_keys(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
pacs_system: {host: p, port: 104}
outbound_destinations:
  - {name: RIS, host: r, port: 2576}
fhir: {port: 8443, base_url: "https://bridge:8443/fhir/r4b"}
""",
    )
    assert found.pacs.port == 104
    assert found.hl7.outbound[0].name == "RIS"
    assert found.fhir.server.port == 8443
    assert found.fhir.server.base_path == "/fhir/r4b"


def test_problems_at_other_places_have_their_lines(tmp_path: Path) -> None:
    text = "fhir:\n  port: x\npacs_system:\n  host: p\n  called_ae: ''\n"
    assert [found.split(": ")[0] for found in problems(tmp_path, text)] == [":2", ":5"]


def test_a_key_at_both_places_is_a_problem(tmp_path: Path) -> None:
    text = "pacs: {host: p}\npacs_system: {host: q}\n"
    assert problems(tmp_path, text) == [
        ":2: pacs_system: is the same key as pacs, which is given too"
    ]


def test_stations_have_a_short_form(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        MINIMAL
        + """
mapping:
  modality_ae_titles:
    CT: [CT1, {ae_title: CT2, station_name: SCANNER2, default: true}]
    MR: MR1
""",
    ).mapping.modality_ae_titles
    assert [station.ae_title for station in found["CT"]] == ["CT1", "CT2"]
    assert [station.default for station in found["CT"]] == [False, True]
    assert [station.ae_title for station in found["MR"]] == ["MR1"]


def test_codes_stay_text(tmp_path: Path) -> None:
    found = settings(
        tmp_path, MINIMAL + "mapping:\n  procedure_to_modality: {0071: CT, NO: MR, 1e3: US}\n"
    )
    assert found.mapping.procedure_to_modality == {"0071": "CT", "NO": "MR", "1e3": "US"}


def test_the_first_source_that_matches_counts(tmp_path: Path) -> None:
    sources = settings(
        tmp_path,
        MINIMAL
        + """
hl7:
  sources:
    - {match: "RIS|NORTH", timezone: Europe/Vienna}
    - {match: RIS, charset: "8859/1", processing_ids: [P, T]}
""",
    ).hl7.sources
    assert source_for(sources, "RIS", "NORTH").timezone == "Europe/Vienna"
    assert source_for(sources, "RIS", "SOUTH").processing_ids == ["P", "T"]
    other = source_for(sources, "HIS", "NORTH")
    assert (other.charset, other.timezone, other.processing_ids) == (None, None, ["P"])


def test_keys_without_effect_are_named(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        MINIMAL
        + """
hl7:
  outbound: [{name: RIS, host: r, port: 2576}]
  sources: [{match: "*", application_ack_destination: RIS}]
fhir: {enabled: true}
emr: {enabled: false}
queue: {worker_count: 8, max_queue_size: 7, message_ttl: 24h}
routing_rules: [{name: a, message_type_pattern: "ADT*", destination: RIS}]
""",
    )
    assert inert_keys(found) == [
        "hl7.sources[0].application_ack_destination",
        "hl7.outbound",
        "routing_rules",
        "queue.worker_count",
        "fhir",
    ]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    found = settings(
        tmp_path, MINIMAL + "queue: {redis: {password: s3cret}}\nemr: {auth: {api_key: s3cret}}\n"
    )
    assert "s3cret" not in repr(found)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_said_as_such(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    path.chmod(0)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        load(path, {})
    path.chmod(stat.S_IRUSR)


_KEYS = re.findall(
    r"\w+",
    "hl7 listener tls port pacs host outbound name sources match dicom peers mapping queue x CT"
    " modality_ae_titles",
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(list(Settings.model_fields)), _VALUES, max_size=5))
def test_any_tree_is_settings_or_problems(
    tmp_path_factory: pytest.TempPathFactory, tree: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(tree))
    result = examine(path, {})
    assert (result.settings is None) == bool(result.problems)
    assert all(problem.line >= 1 for problem in result.problems)
