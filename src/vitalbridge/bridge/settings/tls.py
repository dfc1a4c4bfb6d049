"""TLS of what the service listens on and of what it connects to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from vitalbridge.bridge.settings.fields import FilePath, Port, Section, key

MinimumVersion = Literal["tls_1_2", "tls_1_3"]


class _Tls(Section):
    enabled: bool = key(False, "Speak TLS. `tls: true` is short for `tls: {enabled: true}`.")
    cert_path: FilePath | None = key(None, "Certificate chain, PEM, own certificate first.")
    key_path: FilePath | None = key(None, "Private key, PEM, without a passphrase.")
    ca_path: FilePath | None = key(None, "Certificates, PEM, by which the other side is judged.")
    min_version: MinimumVersion = key("tls_1_2", "The oldest TLS version spoken.")

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return {"enabled": value} if isinstance(value, str | bool) else value


class ServerTls(_Tls):
    """TLS of a listening port. `cert_path` and `key_path` are required when it is enabled."""

    client_auth: Literal["none", "optional", "required"] = key(
        "none", "Whether clients show a certificate; `ca_path` is required unless `none`."
    )


class ListenerTls(ServerTls):
    """TLS of the HL7 listener."""

    port: Port | None = key(
        None,
        "The port that speaks TLS beside the plain `hl7.listener.port`;"
        " without it `hl7.listener.port` itself speaks TLS.",
    )


class ClientTls(_Tls):
    """TLS towards another system. `cert_path` with `key_path` is shown when the server asks."""

    verify_hostname: bool = key(True, "Refuse a certificate that doesn't name the host.")
