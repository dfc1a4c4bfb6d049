"""How long a certificate is still good."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509


@lru_cache(16)
def _expiry(path: str, _modified: int) -> datetime:
    return x509.load_pem_x509_certificate(Path(path).read_bytes()).not_valid_after_utc


def seconds_left(path: str | Path) -> float | None:
    """Return the seconds until the certificate expires, below zero afterwards; None if unread."""
    try:
        modified = Path(path).stat().st_mtime_ns
        return (_expiry(str(path), modified) - datetime.now(UTC)).total_seconds()
    except (OSError, ValueError):
        return None
