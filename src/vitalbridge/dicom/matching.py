"""Matching of one key against stored values (DICOM PS3.4 C.2.2.2).

Every function turns a key's text into a test of stored text, or into None where the key matches
everything (universal matching).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[str], bool]

WILD_CARD_VRS: Final = frozenset(["AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"])
"""VRs in whose keys ``*`` and ``?`` are wild cards (DICOM PS3.4 C.2.2.2.4)."""

_FOLDED: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | {"ð": "d", "ŋ": "ng", "ĸ": "k", "ſ": "s"}
)
_ACCENTS: Final = re.compile("[\u0300-\u036f]+")
_DA: Final = re.compile(r"\d{8}")
_TM: Final = re.compile(r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?")


class InvalidKey(ValueError):
    """The key's value can't be of its VR; the text does not repeat it."""


@lru_cache(16384)
def fold(text: str) -> str:
    """Return a person name as it is compared: without case, accents and idle spaces.

    Components keep their ``^``, trailing empty ones are cut; widths of East Asian letters are made
    equal. Applied alike to keys, to stored names and to the index (DICOM PS3.4 C.2.2.2.1 leaves
    case and accents of PN to the server).
    """
    if text.isascii():
        folded = text.lower()
    else:
        plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
        folded = unicodedata.normalize("NFKC", plain).casefold().translate(_FOLDED)
    components = [" ".join(component.split()) for component in folded.split("^")]
    while len(components) > 1 and not components[-1]:
        components.pop()
    return "^".join(components)


def wildcard(pattern: str) -> Test:
    """Return a test for ``*`` (any run, also none) and ``?`` (any one character).

    Takes time in proportion to text times pattern, whatever the pattern.
    """
    first, *rest = pattern.split("*")
    if not rest:
        whole = _piece(first)
        return lambda text: len(text) == len(first) and whole(text, 0) == 0
    *middle, last = rest
    starts = _piece(first)
    ends = _piece(last)
    pieces = [(_piece(piece), len(piece)) for piece in middle if piece]
    shortest = len(first) + len(last) + sum(size for _, size in pieces)

    def matches(text: str) -> bool:
        if len(text) < shortest or (first and starts(text[: len(first)], 0) != 0):
            return False
        limit = len(text) - len(last)
        if last and ends(text[limit:], 0) != 0:
            return False
        body = text[:limit]
        at = len(first)
        for find, size in pieces:
            at = find(body, at)
            if at < 0:
                return False
            at += size
        return True

    return matches


def _piece(piece: str) -> Callable[[str, int], int]:
    """Return a search for a piece without ``*``: (text, from) to the leftmost index, or -1."""
    if "?" not in piece:
        return lambda text, at: text.find(piece, at)
    expression = re.compile("".join("." if c == "?" else re.escape(c) for c in piece), re.DOTALL)

    def search(text: str, at: int) -> int:
        found = expression.search(text, at)
        return found.start() if found else -1

    return search


def has_wildcard(text: str) -> bool:
    """Return whether a key of a wild card VR holds one."""
    return "*" in text or "?" in text


def is_universal(vr: str, text: str) -> bool:
    """Return whether the key matches every value: empty, or only ``*`` (PS3.4 C.2.2.2.3, .4).

    The standard knows ``*`` for some VRs only, and no range that is open at both ends. In the other
    VRs neither can be a value: modalities that send them can mean nothing else.
    """
    return not text.strip("*") or (text == "-" and vr in ("DA", "TM"))


def person_name(key: str) -> Test | None:
    """Return a test of a stored PN with its component groups.

    A key without ``=`` may match any of the groups; a key with ``=`` matches group by group, its
    empty groups everything (DICOM PS3.5 6.2.1).
    """
    groups = [fold(group) for group in key.split("=")]
    tests = [None if is_universal("PN", group) else _text_test(group) for group in groups]
    if not any(tests):
        return None
    if len(tests) == 1 and (only := tests[0]):
        return lambda stored: any(only(fold(group)) for group in stored.split("="))

    def by_group(stored: str) -> bool:
        names = [fold(group) for group in stored.split("=")]
        names += [""] * (len(tests) - len(names))
        return all(test is None or test(name) for test, name in zip(tests, names, strict=False))

    return by_group


def _text_test(key: str) -> Test:
    return wildcard(key) if has_wildcard(key) else key.__eq__


def spellings(vr: str, key: str) -> tuple[str, ...]:
    """Return the exact values that a key without wild cards asks for.

    CS is in capitals by definition and AE titles are kept so nearly everywhere, while modalities
    let the user type them: there the key counts as typed and in capitals.
    """
    if vr in ("AE", "CS") and key != key.upper():
        return key, key.upper()
    return (key,)


def text(vr: str, key: str) -> Test | None:
    """Return a test of one stored value of a text VR, exact or with wild cards."""
    if is_universal(vr, key):
        return None
    alternatives = spellings(vr, key)
    if vr not in WILD_CARD_VRS or not has_wildcard(key):
        return lambda stored: stored.strip() in alternatives
    tests = [wildcard(alternative) for alternative in alternatives]
    return lambda stored: any(test(stored.strip()) for test in tests)


def number(key: str) -> Test | None:
    """Return a test of a stored number in decimal text (DS, IS and the binary ones).

    Raises :class:`InvalidKey`.
    """
    if is_universal("DS", key):
        return None
    try:
        wanted = float(key)
    except ValueError:
        raise InvalidKey("not a number") from None

    def equals(stored: str) -> bool:
        try:
            return float(stored) == wanted
        except ValueError:
            return False

    return equals


Bounds = tuple[str, str]
"""Lowest and highest digits, inclusive and of full length; an empty one is open."""

OPEN: Final[Bounds] = ("", "")
_BACKWARDS: Final = "range of times ends before it begins"
DAY_START, DAY_END = "0" * 12, "9" * 12


def dates(key: str) -> Bounds:
    """Return the range of a DA key: one date or ``A-B``, ``A-``, ``-B`` (PS3.4 C.2.2.2.5).

    Bounds are ``YYYYMMDD``. The old form with periods is understood. Raises :class:`InvalidKey`,
    also for a range that ends before it begins.
    """
    bounds = _ends(key.replace(".", "").replace("/", ""), _DA, "not a date or range of dates")
    return _in_order(bounds, "range of dates ends before it begins")


def times(key: str) -> Bounds:
    """Return the range of a TM key; a shorter time stands for all that it includes.

    Bounds have 12 digits, ``HHMMSSffffff``. The old form with colons is understood. Raises
    :class:`InvalidKey`.
    """
    low, high = _ends(key.replace(":", ""), _TM, "not a time or range of times")
    return earliest_time(low) if low else "", latest_time(high) if high else ""


def _in_order(bounds: Bounds, complaint: str) -> Bounds:
    # Such a range has no meaning (PS3.4 C.2.2.2.5). Taken as it stands it matches nothing, and an
    # empty list would look like a day without patients.
    low, high = bounds
    if low and high and low > high:
        raise InvalidKey(complaint)
    return bounds


def _ends(key: str, form: re.Pattern[str], complaint: str) -> Bounds:
    low, dash, high = (part.strip() for part in key.partition("-"))
    if not dash:
        high = low
    if not (low or high) or any(end and not form.fullmatch(end) for end in (low, high)):
        raise InvalidKey(complaint)
    return low, high


def earliest_time(tm: str) -> str:
    """Return the first moment that a TM value includes, as 12 digits."""
    return tm.replace(".", "").replace(":", "").ljust(12, "0")


def latest_time(tm: str) -> str:
    """Return the last moment that a TM value includes, as 12 digits."""
    return tm.replace(".", "").replace(":", "").ljust(12, "9")


def within(bounds: Bounds, earliest: str, latest: str) -> bool:
    """Return whether a stored span of digits touches the bounds.

    What is stored with less precision than the key asks for touches all that it includes: a step
    on a day without an hour is on the list of every hour of that day.
    """
    low, high = bounds
    return (not low or latest >= low) and (not high or earliest <= high)


def date(key: str) -> Test | None:
    """Return a test of a stored DA, also a shortened one; raises :class:`InvalidKey`."""
    if is_universal("DA", key):
        return None
    bounds = dates(key)
    return lambda stored: (
        bool(stored) and within(bounds, stored.ljust(8, "0"), stored.ljust(8, "9"))
    )


def time(key: str) -> Test | None:
    """Return a test of a stored TM; raises :class:`InvalidKey`."""
    if is_universal("TM", key):
        return None
    bounds = _in_order(times(key), _BACKWARDS)
    return lambda stored: (
        bool(stored) and within(bounds, earliest_time(stored), latest_time(stored))
    )


def date_and_time(date_key: str, time_key: str) -> tuple[Bounds, Bounds, Bounds]:
    """Return the bounds of (start, date, time) for the two keys of one moment.

    Ranges of date and time are one range: July 5 to July 7 with 10:00 to 18:00 is from July 5,
    10:00 to July 7, 18:00 (DICOM PS3.4 Table K.6-1). What remains a condition on the date or the
    time alone, as one time on every day, is in the other two bounds. Start bounds have 20 digits,
    ``YYYYMMDDHHMMSSffffff``. Raises :class:`InvalidKey`; a range of times may begin later in the
    day than it ends only where the days leave room for it.
    """
    day = OPEN if is_universal("DA", date_key) else dates(date_key)
    hour = OPEN if is_universal("TM", time_key) else times(time_key)
    if day == OPEN:
        return OPEN, OPEN, _in_order(hour, _BACKWARDS)
    several_days = day[0] != day[1]
    if several_days and hour != OPEN and "-" not in time_key:
        start = (day[0] + DAY_START if day[0] else "", day[1] + DAY_END if day[1] else "")
        return start, day, hour
    low = day[0] + (hour[0] or DAY_START) if day[0] else ""
    high = day[1] + (hour[1] or DAY_END) if day[1] else ""
    return _in_order((low, high), _BACKWARDS), OPEN, OPEN
