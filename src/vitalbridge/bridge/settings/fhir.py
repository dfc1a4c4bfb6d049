"""FHIR: the gateway that the bridge offers and the health record that it feeds."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr

from vitalbridge.bridge.settings.fields import (
    Milliseconds,
    Port,
    PositiveInt,
    PositiveSeconds,
    Seconds,
    Section,
    key,
    listing,
    section,
)
from vitalbridge.bridge.settings.operation import UrlPath  # noqa: TC001 (pydantic reads it)
from vitalbridge.bridge.settings.tls import ServerTls


def _path_of_url(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return urlsplit(value).path
    return value


class FhirServerSettings(Section):
    """The FHIR R4 server."""

    port: Port = key(8080, "TCP port.")
    base_path: Annotated[UrlPath, BeforeValidator(_path_of_url)] = key(
        "/fhir/r4", "Path that resources are under; of a URL only the path counts."
    )
    max_connections: PositiveInt = key(100, "Connections open at the same time.")
    request_timeout: PositiveSeconds = key(60.0, "Time limit of a request.")
    page_size: PositiveInt = key(100, "Resources on a page of results.", le=1000)
    tls: ServerTls = section(ServerTls, "TLS of the server.")


class FhirSettings(Section):
    """The FHIR R4 gateway."""

    enabled: bool = key(False, "Serve FHIR.")
    server: FhirServerSettings = section(FhirServerSettings, "The server.")


class EmrConnectionSettings(Section):
    """The health record's FHIR server."""

    base_url: str | None = key(None, "Base URL.", pattern=r"^https?://[^\s]+$")
    timeout: PositiveSeconds = key(30.0, "Time limit of a request.")
    max_connections: PositiveInt = key(10, "Connections held open.")
    verify_ssl: bool = key(True, "Judge its certificate.")


class EmrAuthSettings(Section):
    """How the bridge shows who it is."""

    type: Literal["none", "basic", "oauth2", "api_key"] = key("none", "The method.")
    username: str | None = key(None, "User of `basic`.")
    password: SecretStr | None = key(None, "Password of `basic`.")
    api_key: SecretStr | None = key(None, "Key of `api_key`.")
    api_key_header: str = key("X-API-Key", "Header that carries it.")
    token_url: str | None = key(None, "Token endpoint of `oauth2`; without it discovered.")
    client_id: str | None = key(None, "Client id of `oauth2`.")
    client_secret: SecretStr | None = key(None, "Client secret of `oauth2`.")
    private_key_path: str | None = key(None, "Private key of `oauth2` by signed assertion.")
    scopes: list[str] = listing("Scopes asked for.")
    token_refresh_margin: Seconds = key(60.0, "How long before its end a token is renewed.")


class EmrFeatureSettings(Section):
    """What the health record is used for."""

    patient_lookup: bool = key(True, "Look patients up.")
    encounter_context: bool = key(True, "Find the encounter of a result.")
    result_posting: bool = key(True, "Send results.")


class EmrRetrySettings(Section):
    """Repetition of failed requests."""

    max_attempts: PositiveInt = key(3, "Attempts in all.")
    initial: Milliseconds = key(1.0, "First wait.")
    max: Seconds = key(30.0, "Longest wait.")
    mult: float = key(2.0, "Factor from one wait to the next.", ge=1, le=100)


class EmrCacheSettings(Section):
    """Answers held in memory."""

    patient_ttl: Seconds = key(300.0, "How long a patient is held.")
    encounter_ttl: Seconds = key(60.0, "How long an encounter is held.")
    max: PositiveInt = key(10_000, "Answers held.")


class EmrMappingSettings(Section):
    """Identifiers that the health record knows."""

    patient_id_system: str | None = key(None, "System of patient identifiers.")
    accession_number_system: str | None = key(None, "System of accession numbers.")
    default_performer_id: str | None = key(None, "Performer of results that name none.")
    organization_id: str | None = key(None, "The organization.")


class EmrSettings(Section):
    """The electronic health record that gets results."""

    enabled: bool = key(False, "Use it.")
    vendor: Literal["generic", "epic", "cerner"] = key("generic", "Its product.")
    connection: EmrConnectionSettings = section(EmrConnectionSettings, "Where it is.")
    auth: EmrAuthSettings = section(EmrAuthSettings, "How the bridge shows who it is.")
    features: EmrFeatureSettings = section(EmrFeatureSettings, "What it is used for.")
    retry: EmrRetrySettings = section(EmrRetrySettings, "Repetition of failed requests.")
    cache: EmrCacheSettings = section(EmrCacheSettings, "Answers held in memory.")
    mapping: EmrMappingSettings = section(EmrMappingSettings, "Identifiers that it knows.")
