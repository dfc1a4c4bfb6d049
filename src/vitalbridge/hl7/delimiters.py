"""The delimiters of one message, as MSH-1 and MSH-2 declare them (HL7 v2.5.1 2.5.4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from .errors import MalformedMessage

# A segment can never contain its own terminator, so it stands for a delimiter that MSH-2 does not
# declare: searching for it or splitting at it finds nothing, without a special case per use.
ABSENT: Final = "\r"

_LEGAL: Final = frozenset(
    chr(code) for code in range(0x21, 0x7F) if not chr(code).isalnum() and chr(code) != '"'
)


@dataclass(frozen=True)
class Delimiters:
    r"""The delimiter characters of a message, one character each.

    One that MSH-2 does not declare is ``"\r"`` (``ABSENT``), which no segment contains.
    ``truncation`` exists from HL7 v2.7 on (2.5.5.2). ``outer`` is set for those of ``inner``.
    """

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ABSENT
    outer: Delimiters | None = None

    @cached_property
    def encoding_characters(self) -> str:
        r"""MSH-2: ``^~\&`` for the usual ones; characters that were not declared are left out."""
        declared = (
            self.component,
            self.repetition,
            self.escape,
            self.subcomponent,
            self.truncation,
        )
        return "".join(character for character in declared if character != ABSENT)

    @cached_property
    def inner(self) -> Delimiters:
        """The same one level down: what separates the parts of a value inside a component."""
        return Delimiters(
            field=self.field,
            component=self.subcomponent,
            repetition=ABSENT,
            escape=self.escape,
            subcomponent=ABSENT,
            truncation=self.truncation,
            outer=self,
        )

    @cached_property
    def named(self) -> dict[str, str]:
        r"""Letter of the escape sequence -> the delimiter that it stands for (``S`` -> ``^``).

        The letters mean the same at every level: those of ``inner`` are the message's too.
        """
        if self.outer is not None:
            return self.outer.named
        letters = {
            "F": self.field,
            "S": self.component,
            "R": self.repetition,
            "E": self.escape,
            "T": self.subcomponent,
            "P": self.truncation,
        }
        return {letter: character for letter, character in letters.items() if character != ABSENT}

    @cached_property
    def sequences(self) -> dict[int, str]:
        r"""Code point of each character that a value cannot hold -> its escape sequence."""
        mark = self.escape
        # Control characters would end the segment or the MLLP frame, or switch character sets.
        table = {code: f"{mark}X{code:02X}{mark}" for code in range(0x20) if code != ord("\t")}
        table[ord("\n")] = f"{mark}.br{mark}"
        for letter, character in self.named.items():
            table[ord(character)] = f"{mark}{letter}{mark}"
        return table

    @cached_property
    def reserved(self) -> frozenset[str]:
        """The characters that a value cannot hold as they are."""
        return frozenset(map(chr, self.sequences))


STANDARD: Final = Delimiters()


@lru_cache(maxsize=256)
def parse_delimiters(field: str, encoding_characters: str) -> Delimiters:
    r"""Read MSH-1 and MSH-2 (``|`` and ``^~\&``).

    Any printable ASCII characters that are neither letters, digits, blanks nor quotation marks and
    that differ from each other are accepted; MSH-2 may be one to five characters long.

    Raises MalformedMessage (location ``MSH^1^1`` or ``MSH^1^2``).
    """
    if field not in _LEGAL:
        raise MalformedMessage(
            "Invalid HL7 message format: MSH-1 is no usable field separator",
            code=102,
            location="MSH^1^1",
        )
    if (
        not 1 <= len(encoding_characters) <= 5
        or not _LEGAL.issuperset(encoding_characters)
        or len({field, *encoding_characters}) != len(encoding_characters) + 1
    ):
        raise MalformedMessage(
            "Invalid HL7 message format: MSH-2 holds no usable encoding characters",
            code=102,
            location="MSH^1^2",
        )
    return Delimiters(field, *encoding_characters.ljust(5, ABSENT))
