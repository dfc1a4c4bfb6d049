"""DICOM attributes as plain data: keyword to value, the form in which the worklist is stored.

Values are what the wire would hold, as text: DA ``YYYYMMDD``, TM ``HHMMSS``, PN with component
groups ``A=I=P``, UIDs, numbers as decimal text; several values are a list; a sequence is a list of
attribute maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    Value: TypeAlias = str | list[str] | list["Attributes"]
else:
    # Decoders that read types at run time know no union of two lists.
    Value: TypeAlias = Any
Attributes: TypeAlias = dict[str, Value]
Changes: TypeAlias = dict[str, Value | None]
"""As Attributes, where ``None`` means: delete the attribute."""


def changed(current: Attributes, changes: Changes) -> Attributes:
    """Return ``current`` with ``changes`` laid over it; ``None`` deletes."""
    merged = dict(current)
    for keyword, value in changes.items():
        if value is None:
            merged.pop(keyword, None)
        else:
            merged[keyword] = value
    return merged
