"""The kinds of value that configuration keys have, and what a section of keys is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from vitalbridge.runtime.durations import InvalidDuration, parse_duration


@dataclass(frozen=True)
class Kind:
    """How the reference names the type of a key."""

    name: str


class Section(BaseModel):
    """A mapping of keys. Unknown keys are errors; a key left empty has its default."""

    model_config = ConfigDict(extra="forbid", validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, dict):
            return {key: given for key, given in value.items() if given is not None}
        return value


def key(default: Any, description: str, *, inert: bool = False, **limits: Any) -> Any:
    """Declare a key: its default (``...``: required), what it means, its limits.

    ``inert`` marks a key that is read and checked but changes nothing in this version.
    """
    return Field(default, description=description, json_schema_extra={"inert": inert}, **limits)


def section(kind: type[Section], description: str, *, inert: bool = False) -> Any:
    """Declare a section of keys whose default is all its defaults."""
    return Field(default_factory=kind, description=description, json_schema_extra={"inert": inert})


def listing(description: str, *, inert: bool = False, kind: type = list, **limits: Any) -> Any:
    """Declare a key whose default is an empty list (or mapping)."""
    return Field(
        default_factory=kind, description=description, json_schema_extra={"inert": inert}, **limits
    )


def _port(value: Any) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= 65535):
        raise PydanticCustomError("port", "Invalid port number: {value}", {"value": text[:40]})
    return int(text)


def _seconds(value: Any) -> float:
    return _duration(value, 1.0)


def _milliseconds(value: Any) -> float:
    return _duration(value, 0.001)


def _duration(value: Any, unit: float) -> float:
    if not isinstance(value, str | int | float):
        value = type(value).__name__
    try:
        return parse_duration(value, unit=unit)
    except InvalidDuration as error:
        raise PydanticCustomError("duration", "{text}", {"text": str(error)}) from error


def _positive_seconds(value: Any) -> float:
    return _above_zero(_seconds(value))


def _positive_milliseconds(value: Any) -> float:
    return _above_zero(_milliseconds(value))


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise PydanticCustomError("duration", "must be longer than zero")
    return seconds


def _ae_title(value: Any) -> str:
    text = _text(value).strip(" ")
    if not text or len(text) > 16 or "\\" in text or not all(" " <= char <= "~" for char in text):
        raise PydanticCustomError(
            "ae_title",
            "not an AE title: 1 to 16 printable ASCII characters without backslash"
            " (DICOM PS3.5 6.2)",
        )
    return text


def _timezone(value: Any) -> str:
    text = _text(value)
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PydanticCustomError(
            "timezone", "unknown time zone {name} (write Europe/Vienna or UTC)", {"name": text[:60]}
        ) from error
    return text


_UID = re.compile(r"([01]\.[123]?[0-9]|2\.(0|[1-9][0-9]*))(\.(0|[1-9][0-9]*))*")
_LONGEST_UID_ROOT = 40


def _uid_root(value: Any) -> str:
    text = _text(value)
    if not _UID.fullmatch(text):
        raise PydanticCustomError(
            "uid_root", "not a UID root: numbers joined by dots, none with a leading zero"
        )
    if (text + ".").startswith("1.2.840.10008."):
        raise PydanticCustomError(
            "uid_root", "1.2.840.10008 is DICOM's own root; use your organization's, or 2.25"
        )
    if len(text) > _LONGEST_UID_ROOT:
        raise PydanticCustomError(
            "uid_root",
            "longer than {limit} characters: no room for a unique part within 64",
            {"limit": _LONGEST_UID_ROOT},
        )
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "must be text")
    return value


def _path(value: Any) -> str:
    text = _text(value)
    if not text.strip() or "\0" in text:
        raise PydanticCustomError("path", "must be the path of a file")
    return text


_HOST = re.compile(r"[A-Za-z0-9_.:%\[\]-]{1,253}")


def _host(value: Any) -> str:
    text = _text(value).strip()
    if not _HOST.fullmatch(text):
        raise PydanticCustomError("host", "must be a host name or an IP address")
    return text.strip("[]")


Port: TypeAlias = Annotated[int, BeforeValidator(_port), Kind("port")]
Seconds: TypeAlias = Annotated[float, BeforeValidator(_seconds), Kind("duration")]
PositiveSeconds: TypeAlias = Annotated[float, BeforeValidator(_positive_seconds), Kind("duration")]
Milliseconds: TypeAlias = Annotated[
    float, BeforeValidator(_milliseconds), Kind("duration, a bare number is milliseconds")
]
PositiveMilliseconds: TypeAlias = Annotated[
    float,
    BeforeValidator(_positive_milliseconds),
    Kind("duration, a bare number is milliseconds"),
]
AeTitle: TypeAlias = Annotated[str, BeforeValidator(_ae_title), Kind("AE title")]
TimeZone: TypeAlias = Annotated[str, BeforeValidator(_timezone), Kind("time zone")]
UidRoot: TypeAlias = Annotated[str, BeforeValidator(_uid_root), Kind("UID root")]
FilePath: TypeAlias = Annotated[str, BeforeValidator(_path), Kind("path")]
Host: TypeAlias = Annotated[str, BeforeValidator(_host), Kind("host")]
Size: TypeAlias = Annotated[ByteSize, Kind("bytes")]
PositiveInt: TypeAlias = Annotated[int, Field(ge=1)]
