"""Queries answered: a request understood once, a response encoded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from vitalbridge.dicom.charsets import LATIN_1, UTF_8
from vitalbridge.dicom.identifier import Plan, Response, respond, shape
from vitalbridge.dicom.query import index_query, matcher, read_identifier
from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitalbridge.dicom.charsets import CharacterSet
    from vitalbridge.dicom.elements import Syntax
    from vitalbridge.dicom.worklist import WorklistSource

_MAX_REQUESTS: Final = 512
_MAX_REQUEST_SIZE: Final = 8192
_OVERHEAD: Final = 400


class Asked(msgspec.Struct, frozen=True):
    """A request ready to be answered; ``plan_number`` stands for ``plan`` in the cache's keys."""

    query: WorklistQuery
    matches: Callable[[WorklistItem], bool]
    plan: Plan
    plan_number: int


class Answers:
    """Answers requests from a source; for any number of threads.

    Keeps requests as understood (a modality polls with the same bytes all day) and responses as
    encoded, the latter up to ``cache_bytes``.
    """

    def __init__(self, source: WorklistSource, cache_bytes: int) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._requests: OrderedDict[tuple[bytes, str, tuple[CharacterSet, ...]], Asked]
        self._requests = OrderedDict()
        self._plans: OrderedDict[Plan, int] = OrderedDict()
        self._last_plan = 0
        self._responses: OrderedDict[tuple[int, int, tuple[int, int]], Response] = OrderedDict()
        self._bytes = 0
        self._max_bytes = cache_bytes

    def understand(
        self, data_set: bytes, syntax: Syntax, allowed: tuple[CharacterSet, ...]
    ) -> Asked:
        """Return what an encoded identifier asks for.

        ``allowed`` are the character sets for the reply, best first; when empty it is the
        request's own, Latin-1 or UTF-8, the first that has every character. Raises
        ``InvalidIdentifier``.
        """
        key = (data_set, syntax.uid, allowed)
        with self._lock:
            if (known := self._requests.get(key)) is not None:
                self._requests.move_to_end(key)
                return known
        identifier = read_identifier(data_set, syntax, allowed[0] if allowed else None)
        own = (identifier.charset,) if identifier.charset.terms else ()
        plan = Plan(shape(identifier), syntax, allowed or (*own, LATIN_1, UTF_8))
        query, matches = index_query(identifier), matcher(identifier)
        with self._lock:
            asked = Asked(query, matches, plan, self._number(plan))
            if len(data_set) <= _MAX_REQUEST_SIZE:
                self._requests[key] = asked
                if len(self._requests) > _MAX_REQUESTS:
                    self._requests.popitem(last=False)
        return asked

    def _number(self, plan: Plan) -> int:
        number = self._plans.get(plan)
        if number is None:
            # A number is never given again: old responses under it can't be mistaken.
            self._last_plan += 1
            number = self._plans[plan] = self._last_plan
            if len(self._plans) > _MAX_REQUESTS:
                self._plans.popitem(last=False)
        return number

    def matches(self, asked: Asked) -> Iterator[Response]:
        """Yield the response for each item that matches; raises ``OSError`` from the source."""
        for item in self._source.find(asked.query):
            if asked.matches(item):
                yield self._response(asked, item)

    def _response(self, asked: Asked, item: WorklistItem) -> Response:
        key = (asked.plan_number, item.key, item.version)
        with self._lock:
            if (kept := self._responses.get(key)) is not None:
                self._responses.move_to_end(key)
                return kept
        response = respond(item, asked.plan)
        with self._lock:
            if key not in self._responses:
                self._responses[key] = response
                self._bytes += len(response.data) + _OVERHEAD
            while self._bytes > self._max_bytes:
                _, oldest = self._responses.popitem(last=False)
                self._bytes -= len(oldest.data) + _OVERHEAD
        return response
