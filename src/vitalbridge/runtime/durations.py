"""Lengths of time as people write them: ``500ms``, ``30s``, ``5m``, ``1h``, ``7d``."""

from __future__ import annotations

import math

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 100 * 365 * 86400.0


class InvalidDuration(ValueError):
    """The text is no length of time."""

    def __init__(self, text: object) -> None:
        super().__init__(
            f"Invalid duration format: {str(text)[:40]!r} (write 500ms, 30s, 5m, 1h or 7d)"
        )


def parse_duration(value: str | int | float, *, unit: float = 1.0) -> float:
    """Return ``value`` in seconds.

    A bare number is in ``unit`` seconds (0.001 for a key documented in milliseconds). The answer is
    finite, not negative and at most a hundred years; everything else raises
    :class:`InvalidDuration`.
    """
    if isinstance(value, bool):
        raise InvalidDuration(value)
    if isinstance(value, int | float):
        return _checked(value, _scaled(value, unit))
    text = value.strip()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    suffix = text[len(number) :]
    factor = _SECONDS.get(suffix, 0.0) if suffix else unit
    digits = number.rstrip().removeprefix("+")
    if not factor or not digits.replace(".", "", 1).isdecimal() or not digits.isascii():
        raise InvalidDuration(value)
    return _checked(value, _scaled(float(digits), factor))


def format_duration(seconds: float) -> str:
    """Return the shortest text that :func:`parse_duration` reads back as ``seconds``."""
    if seconds == 0:
        return "0s"
    for suffix in ("d", "h", "m", "s"):
        count = seconds / _SECONDS[suffix]
        if count >= 1 and count == int(count):
            return f"{int(count)}{suffix}"
    milliseconds = round(seconds * 1000, 6)
    if milliseconds == int(milliseconds):
        return f"{int(milliseconds)}ms"
    return f"{seconds!r}s"


def _scaled(number: float, factor: float) -> float:
    # Dividing by 1000 gives the nearest float, multiplying by 0.001 doesn't.
    return number * factor if factor >= 1 else number / round(1 / factor)


def _checked(value: object, seconds: float) -> float:
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise InvalidDuration(value)
    return seconds
