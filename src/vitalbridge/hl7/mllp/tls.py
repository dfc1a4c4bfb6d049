"""TLS 1.2 and 1.3 for MLLP, one-sided or mutual (BCP 195, IHE ATNA)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509

from .errors import CertificateRejected

if TYPE_CHECKING:
    from pathlib import Path

ClientAuth = Literal["none", "optional", "required"]
MinVersion = Literal["tls_1_2", "tls_1_3"]

# TLS 1.2: forward secrecy and authenticated encryption only; TLS 1.3 has nothing else anyway.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!PSK"
_VERSIONS: Final = {"tls_1_2": ssl.TLSVersion.TLSv1_2, "tls_1_3": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def server_context(
    cert: str | Path,
    key: str | Path,
    ca: str | Path | None = None,
    client_auth: ClientAuth = "none",
    min_version: MinVersion = "tls_1_2",
) -> ssl.SSLContext:
    """Context of a listener; PEM files, the key without a passphrase.

    ``ca`` holds the authorities of client certificates and is needed unless ``client_auth`` is
    ``none``. Raises CertificateRejected (unreadable or unusable file, key of another certificate).
    """
    if client_auth != "none" and ca is None:
        raise CertificateRejected("client certificates can't be verified without a CA file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    _load_own(context, cert, key)
    if ca is not None:
        _load_authorities(context, ca)
    context.verify_mode = _CLIENT_AUTH[client_auth]
    return _restricted(context, min_version)


def client_context(
    ca: str | Path | None = None,
    cert: str | Path | None = None,
    key: str | Path | None = None,
    min_version: MinVersion = "tls_1_2",
    *,
    verify_hostname: bool = True,
) -> ssl.SSLContext:
    """Context of a client: verifies the server by ``ca``, by the system's authorities without it.

    ``cert`` and ``key`` identify the client where the server asks. ``verify_hostname`` False
    accepts a certificate of the right authority for any name. Raises CertificateRejected.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = verify_hostname
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, ca)
    if cert is not None and key is not None:
        _load_own(context, cert, key)
    elif cert is not None or key is not None:
        raise CertificateRejected("a client certificate needs both its certificate and its key")
    return _restricted(context, min_version)


def subject_of(secured: ssl.SSLObject) -> str | None:
    """Subject of the peer's verified certificate in the form of RFC 4514, None without one."""
    certificate = secured.getpeercert(binary_form=True)
    if certificate is None:
        return None
    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()


def _restricted(context: ssl.SSLContext, min_version: MinVersion) -> ssl.SSLContext:
    context.minimum_version = _VERSIONS[min_version]
    context.set_ciphers(_CIPHERS)
    return context


def _load_own(context: ssl.SSLContext, cert: str | Path, key: str | Path) -> None:
    try:
        # Without a password OpenSSL would ask for one on the terminal and stop the service.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise CertificateRejected(
            f"Failed to load certificate: {cert}, {key}: {_reason(error)}"
        ) from error


def _load_authorities(context: ssl.SSLContext, ca: str | Path) -> None:
    try:
        context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        raise CertificateRejected(f"Failed to load certificate: {ca}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not a usable PEM file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
