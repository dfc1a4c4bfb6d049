"""The two messages that everything is measured with: an order of 450 and an ADT of 1.3 KB.

Both are templates of bytes with one placeholder for a number, which makes control id, patient,
visit, order and accession number new in every message: nothing is a duplicate of anything.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ORDER = (
    "MSH|^~\\&|RIS|HOSPITAL|PACS_BRIDGE|RADIOLOGY|{now}||ORM^O01^ORM_O01|B{n}|P|2.5.1\r"
    "PID|1||P{n}^^^HOSPITAL_MRN^MR||D{n}^JOHN||19800115|M\r"
    "PV1|1|I|3WEST^301^1||||1234^SMITH^ROBERT^J^^DR\r"
    "ORC|NW|O{n}^RIS|F{n}^RIS||SC||||{now}|||1234^SMITH^ROBERT^J^^DR\r"
    "OBR|1|O{n}^RIS|F{n}^RIS|71260^CT CHEST W CONTRAST^C4|||||||||||"
    "|1234^SMITH^ROBERT||{n}|{n}|||||CT||||||||||||{start}\r"
)

_ADT = (
    "MSH|^~\\&|HIS|HOSPITAL|PACS_BRIDGE|RADIOLOGY|{now}||ADT^A08^ADT_A01|A{n}|P|2.5.1"
    "||||||UNICODE UTF-8\r"
    "EVN|A08|{now}\r"
    "PID|1||P{n}^^^HOSPITAL_MRN^MR~432177585^^^NATIONAL^NI||Müller^Jürgen^Karl^^Dr^^L||19570312|M"
    "||2106-3|Königstraße 7^^Köln^NW^50667^DEU^H||+49 221 5550100^PRN^PH~+49 171 5550100^PRN^CP"
    "|+49 221 5550199|DE|M|CAT|V{n}^^^HOSPITAL^VN||||Bonn|||DE\r"
    "PD1|||GEMEINSCHAFTSPRAXIS NORD^^9001|4152^ROSSI^PAOLO^^^DR\r"
    "NK1|1|Müller^Käthe|SPO|Königstraße 7^^Köln^NW^50667^DEU|+49 221 5550101||EC\r"
    "NK1|2|Müller^Hannah|CHD|Ehrenstraße 12^^Köln^NW^50672^DEU|+49 221 5550155||NOK\r"
    "PV1|1|I|3WEST^301^1^HOSPITAL^^^MAIN^3|R|||1234^SMITH^ROBERT^J^^DR|2087^OKAFOR^NGOZI^^^DR"
    "|3310^SVENSSON^KARIN^^^DR|MED||||1|A0|B6|1234^SMITH^ROBERT^J^^DR|INP|V{n}^^^HOSPITAL^VN"
    "|||||||||||||||||||||||||{now}\r"
    "PV2||SEMI|^CHEST PAIN\r"
    "AL1|1|DA|70618^PENICILLIN^RXNORM|SV|ANAPHYLAXIS\r"
    "AL1|2|FA|91935009^PEANUT^SCT|MO|HIVES\r"
    "DG1|1||I20.9^Angina pectoris, unspecified^I10|||A\r"
    "OBX|1|NM|8302-2^Body height^LN||178|cm|||||F\r"
    "OBX|2|NM|29463-7^Body weight^LN||82.5|kg|||||F\r"
    "GT1|1||Müller^Jürgen||Königstraße 7^^Köln^NW^50667^DEU|+49 221 5550100||19570312|M\r"
    "IN1|1|AOK01|109519005|AOK Rheinland|Kasernenstraße 61^^Düsseldorf^NW^40213^DEU\r"
)

ORDER_SIZE, ADT_SIZE = 450, 1300


def order(now: str, start: str) -> bytes:
    """Return the order's template: 450 bytes once a number of 10 digits is in it."""
    return _template(_ORDER, now, start, ORDER_SIZE)


def adt(now: str) -> bytes:
    """Return the ADT's template: about 1.3 KB."""
    return _template(_ADT, now, "", 0)


def _template(text: str, now: str, start: str, size: int) -> bytes:
    template = text.replace("{now}", now).replace("{start}", start).replace("%", "%%")
    made = template.replace("{n}", "%(n)b").encode()
    if size:
        # A remark in OBR-13 makes up for what is missing.
        missing = size - len(made % {b"n": b"0" * 10})
        made = made.replace(b"|||||||||||", b"|||||||||" + b"X" * max(0, missing) + b"||", 1)
    return made


def numbered(template: bytes, first: int) -> Callable[[], bytes]:
    """Return a function that gives the next framed message at each call."""
    parts = template.split(b"%(n)b")
    pattern = b"\x0b" + b"%010d".join(parts) + b"\x1c\r"
    many = len(parts) - 1
    numbers = count(first)

    def next_frame() -> bytes:
        return pattern % ((next(numbers),) * many)

    return next_frame
