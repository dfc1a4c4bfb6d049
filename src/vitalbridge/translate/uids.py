"""Study Instance UIDs: which are good, and new ones (DICOM PS3.5 9.1 and annex B)."""

from __future__ import annotations

import re
from hashlib import sha1
from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from .mapping import MappingRules

_UID: Final = re.compile(
    r"(?:[01]\.(?:[0-9]|[123][0-9])|2\.(?:0|[1-9][0-9]*))(?:\.(?:0|[1-9][0-9]*))*"
)
_ROOT: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")
_RESERVED: Final = "1.2.840.10008"
_NAMESPACE: Final = UUID("6f3c9a52-4f0b-5c0e-9d6e-0a3b7f1f52c1").bytes
_VERSION_AND_VARIANT_BITS: Final = 0xF << 76 | 0x3 << 62
_VERSION_5_AND_VARIANT: Final = 0x5 << 76 | 0x2 << 62
_UUID_DIGITS: Final = 39
_LONGEST_ROOT: Final = 40


def is_instance_uid(text: str) -> bool:
    """Return whether ``text`` may identify a study: well-formed, and not of DICOM's own root."""
    return (
        len(text) <= 64
        and _UID.fullmatch(text) is not None
        and text != _RESERVED
        and not text.startswith(_RESERVED + ".")
    )


def check_root(root: str) -> None:
    """Raise ValueError unless new UIDs may be made under ``root``."""
    if len(root) > _LONGEST_ROOT or _ROOT.fullmatch(root) is None or not is_instance_uid(root):
        raise ValueError(
            f"uid_root: no UID root of at most {_LONGEST_ROOT} characters outside {_RESERVED}"
        )


def _name_based(name: str) -> int:
    """Return the number of the name-based UUID (RFC 9562 5.5), as uuid.uuid5 does but sooner."""
    digest = sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16], "big")
    return number & ~_VERSION_AND_VARIANT_BITS | _VERSION_5_AND_VARIANT


def new_study_uid(rules: MappingRules, *seed: str) -> str:
    """Return the UID that belongs to ``seed``: equal seeds, equal UIDs; nothing else decides.

    Under ``2.25`` it is the decimal form of a name-based UUID (RFC 9562 5.5). Under a root of the
    site's own the same number follows the root, its leading digits left out where 64 characters
    don't suffice. The seed must be unique in the installation (full placer and filler numbers with
    what tells apart their reuse, or a random UUID); ``rules.uid_namespace`` makes it unique among
    installations. Raises ValueError without a seed.
    """
    if not any(seed):
        raise ValueError("a UID needs a seed")
    name = "\x1f".join((rules.uid_namespace, *seed))
    number = _name_based(name)
    root = rules.uid_root
    if root == "2.25":
        return f"2.25.{number}"
    return f"{root}.{number % 10 ** min(_UUID_DIGITS, 63 - len(root))}"
