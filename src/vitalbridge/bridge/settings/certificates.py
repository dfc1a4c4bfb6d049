"""Whether certificate files exist, can be read and fit together, before a port is opened."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.x509 import Certificate

_LARGEST = 1024 * 1024


class Result(msgspec.Struct, frozen=True):
    """What is to be said about ``cert_path``, ``key_path`` or ``ca_path``."""

    key: str
    text: str
    note: bool = False


def examine(cert_path: str | None, key_path: str | None, ca_path: str | None) -> Iterator[Result]:
    """Yield what is wrong with the files that are given.

    A file that this user may not read is a note, "not checked": the service's user may. So is a
    certificate outside its validity, as its renewal must not keep a restart from succeeding.
    """
    chain: list[Certificate] = []
    for name, path in (("cert_path", cert_path), ("ca_path", ca_path)):
        if path is None:
            continue
        raw = _read(name, path)
        if isinstance(raw, Result):
            yield raw
            continue
        certificates = _certificates(raw)
        if not certificates:
            yield _failed(name, path, "no PEM certificate in it")
            continue
        yield from _validity(name, certificates[0] if name == "cert_path" else None)
        if name == "cert_path":
            chain = certificates
    if key_path is not None:
        yield from _private_key(key_path, chain[0] if chain else None)


def _read(name: str, path: str) -> bytes | Result:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except PermissionError:
        return Result(name, f"not checked: {path}: permission denied", note=True)
    except OSError as error:
        return _failed(name, path, error.strerror or "can't be read")
    return raw if len(raw) <= _LARGEST else _failed(name, path, "larger than 1 MiB")


def _failed(name: str, path: str, reason: str) -> Result:
    what = "private key" if name == "key_path" else "certificate"
    return Result(name, f"Failed to load {what}: {path}: {reason}")


def _certificates(raw: bytes) -> list[Certificate]:
    from cryptography import x509  # slow to import, needed only with TLS

    try:
        return x509.load_pem_x509_certificates(raw)
    except ValueError:
        return []


def _validity(name: str, certificate: Certificate | None) -> Iterator[Result]:
    if certificate is None:
        return
    now = datetime.now(UTC)
    end = certificate.not_valid_after_utc
    if end < now:
        yield Result(name, f"the certificate expired on {end:%Y-%m-%d}", note=True)
    elif certificate.not_valid_before_utc > now:
        start = certificate.not_valid_before_utc
        yield Result(name, f"the certificate is not valid before {start:%Y-%m-%d}", note=True)


def _private_key(path: str, certificate: Certificate | None) -> Iterator[Result]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    raw = _read("key_path", path)
    if isinstance(raw, Result):
        yield raw
        return
    try:
        private = load_pem_private_key(raw, password=None)
    except TypeError:
        yield _failed("key_path", path, "it has a passphrase")
        return
    except (ValueError, UnsupportedAlgorithm):
        yield _failed("key_path", path, "no PEM private key in it")
        return
    if certificate is not None and private.public_key() != certificate.public_key():
        yield _failed("key_path", path, "it doesn't belong to the certificate of cert_path")
