"""Certificates to try TLS with: an authority of one's own, a server's and a client's certificate.

For development and tests. A hospital's own authority makes those of production.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAYS = 825
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_LONGEST_NAME = 64


class CertificatesExist(Exception):
    """A file would be overwritten; the text is its path."""


class _Issuer(NamedTuple):
    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def make_development_certificates(
    directory: Path, names: Sequence[str] = (), *, replace: bool = False
) -> list[Path]:
    """Write ca.crt, ca.key, server.crt, server.key, client.crt, client.key; return their paths.

    The server's certificate is for ``names`` (host names and IP addresses), ``localhost`` and the
    loopback addresses. Keys get mode 600, certificates 644. Raises :class:`CertificatesExist`
    before anything is written unless ``replace``, ValueError for an impossible name, and OSError.
    """
    hosts = [_general_name(name) for name in dict.fromkeys((*names, *LOCAL_NAMES))]
    stems = ("ca", "server", "client")
    paths = [directory / f"{stem}.{ending}" for stem in stems for ending in ("crt", "key")]
    if not replace:
        for path in paths:
            if path.exists():
                raise CertificatesExist(str(path))
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    authority = _authority()
    server_name = names[0] if names else "localhost"
    server = _leaf(authority, server_name[:_LONGEST_NAME], ExtendedKeyUsageOID.SERVER_AUTH, hosts)
    client = _leaf(authority, "hl7-client", ExtendedKeyUsageOID.CLIENT_AUTH, [])
    made = ((authority.certificate, authority.key), server, client)
    for stem, (certificate, key) in zip(stems, made, strict=True):
        _write(directory / f"{stem}.key", _pem_key(key), 0o600)
        _write(
            directory / f"{stem}.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644
        )
    return paths


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not name or not name.isascii() or any(char.isspace() for char in name):
            raise ValueError(f"no host name: {name!r}") from None
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority() -> _Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Vitalbridge development CA")
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    return _Issuer(name, key, builder.sign(key, hashes.SHA256()))


def _leaf(
    issuer: _Issuer,
    common_name: str,
    purpose: x509.ObjectIdentifier,
    names: list[x509.GeneralName],
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(common_name), issuer.name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer.key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    # A new file takes the old one's place, so that a key is at no moment readable by others.
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
    fresh.replace(path)
