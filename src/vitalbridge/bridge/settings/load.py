"""Where settings come from: built-in defaults, then the file, then the environment."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any, cast

import msgspec
from pydantic import ValidationError

from vitalbridge.bridge.settings.checks import findings
from vitalbridge.bridge.settings.model import Settings
from vitalbridge.bridge.settings.problems import (
    ConfigurationError,
    KeyPath,
    Problem,
    dotted,
    wording,
)
from vitalbridge.runtime.yaml_lines import MAX_BYTES, Data, Document, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUILT_IN = "built-in defaults"

ENVIRONMENT: dict[str, tuple[KeyPath, ...]] = {
    "PACS_BRIDGE_NAME": (("server", "name"),),
    "PACS_BRIDGE_INSTANCE_NAME": (("server", "name"),),
    "PACS_BRIDGE_PORT": (("hl7", "listener", "port"),),
    "PACS_BRIDGE_MLLP_PORT": (("hl7", "listener", "port"),),
    "PACS_BRIDGE_CERT_PATH": (("hl7", "listener", "tls", "cert_path"),),
    "PACS_BRIDGE_KEY_PATH": (("hl7", "listener", "tls", "key_path"),),
    "PACS_BRIDGE_CA_PATH": (("hl7", "listener", "tls", "ca_path"),),
    "PACS_HOST": (("pacs", "host"),),
    "PACS_PORT": (("pacs", "port"),),
    "PACS_BRIDGE_AE_TITLE": (("pacs", "ae_title"), ("dicom", "ae_title")),
    "PACS_CALLED_AE": (("pacs", "called_ae"),),
    "LOG_LEVEL": (("logging", "level"),),
    "PACS_BRIDGE_LOG_FILE": (("logging", "file"),),
    "PACS_BRIDGE_QUEUE_DB": (("queue", "database_path"),),
    "REDIS_PASSWORD": (("queue", "redis", "password"),),
}
"""Variables that set a key whatever the file says; of two for one key the later here counts."""

ALIASES: tuple[tuple[KeyPath, KeyPath], ...] = (
    (("pacs_system",), ("pacs",)),
    (("outbound_destinations",), ("hl7", "outbound")),
    (("fhir", "port"), ("fhir", "server", "port")),
    (("fhir", "base_path"), ("fhir", "server", "base_path")),
    (("fhir", "base_url"), ("fhir", "server", "base_path")),
)
"""Other places at which a key may stand."""

_SWITCHES: tuple[KeyPath, ...] = (("hl7", "listener", "tls"), ("fhir", "server", "tls"))


class Examination(msgspec.Struct, frozen=True):
    """The settings, unless there are problems; ``notes`` are worth saying but stop nothing."""

    settings: Settings | None
    problems: list[Problem]
    notes: list[Problem]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of the file at ``path``, or the built-in ones where it is ``None``.

    Raises :class:`ConfigurationError` with all problems at once.
    """
    result = examine(path, environ)
    if result.settings is None:
        raise ConfigurationError(result.problems)
    return result.settings


def examine(path: Path | None, environ: Mapping[str, str]) -> Examination:
    """Read and check everything, without opening a socket or the database. Raises nothing."""
    environ = {name: value for name, value in environ.items() if not _is_link(name, value)}
    if path is None:
        document = Document(_built_in(environ), {(): 0}, [])
        return _Reading(BUILT_IN, document).result(environ)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        text = f"can't be read: {error.strerror or error}"
        return Examination(None, [Problem(str(path), 0, "", text)], [])
    return _Reading(str(path), read_yaml(raw, environ)).result(environ)


def _is_link(name: str, value: str) -> bool:
    # Kubernetes sets PACS_PORT=tcp://10.0.0.7:11112 in every pod once a service is called "pacs".
    return name.endswith("_PORT") and value.startswith(("tcp://", "udp://", "sctp://"))


def _built_in(environ: Mapping[str, str]) -> dict[str, Data]:
    state = environ.get("XDG_STATE_HOME") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".local", "state"
    )
    return {
        "pacs": {"host": "localhost", "port": "4242"},
        "queue": {"database_path": os.path.join(state, "vitalbridge", "pacs_bridge", "queue.db")},
    }


class _Reading:
    """One file on its way to settings."""

    def __init__(self, file: str, document: Document) -> None:
        self._file = file
        self._lines = dict(document.lines)
        self._variables: dict[KeyPath, str] = {}
        # A value that isn't there needs no second complaint that it isn't valid.
        self._without_value = {fault.path for fault in document.faults if fault.no_value}
        self._problems = [
            Problem(file, fault.line, dotted(fault.path), fault.text) for fault in document.faults
        ]
        self._notes: list[Problem] = []
        self._unreadable = bool(document.faults) and document.data is None
        data = document.data if document.data is not None else {}
        if not isinstance(data, dict):
            self._add((), "must be a mapping of keys")
            self._unreadable = True
            data = {}
        self._data: dict[str, Any] = copy.deepcopy(cast("dict[str, Any]", data))

    def result(self, environ: Mapping[str, str]) -> Examination:
        if self._unreadable:
            return Examination(None, self._problems, [])
        for alias, place in ALIASES:
            self._move(alias, place)
        for variable, places in ENVIRONMENT.items():
            for place in places:
                self._override(variable, place, environ.get(variable))
        if self._data.get("pacs") is None:
            self._data["pacs"] = {}
        settings = self._validated()
        problems = sorted(
            dict.fromkeys(self._problems), key=lambda problem: (problem.file, problem.line)
        )
        return Examination(None if problems else settings, problems, self._notes)

    def _validated(self) -> Settings | None:
        bad: list[KeyPath] = []
        settings = self._attempt(self._data, bad)
        if settings is None:
            # What is wrong is known now; the rest is checked too, so that all is said at once.
            settings = self._attempt(_without(self._data, bad), None)
        if settings is not None:
            for finding in findings(settings):
                if not any(_depends(finding.path, path) for path in bad):
                    self._add(finding.path, finding.text, note=finding.note)
        return settings

    def _attempt(self, data: dict[str, Any], bad: list[KeyPath] | None) -> Settings | None:
        try:
            return Settings.model_validate(data)
        except ValidationError as error:
            if bad is None:
                return None
            for detail in error.errors(include_url=False):
                path = tuple(part for part in detail["loc"] if part != "[key]")
                bad.append(path)
                self._add(path, wording(detail, path, Settings))
            return None

    def _add(self, path: KeyPath, text: str, *, note: bool = False) -> None:
        variable = self._variables.get(path)
        if variable is None and path in self._without_value:
            return
        if variable is not None:
            problem = Problem(f"environment variable {variable}", 0, dotted(path), text)
        else:
            problem = Problem(self._file, self._line(path), dotted(path), text)
        (self._notes if note else self._problems).append(problem)

    def _line(self, path: KeyPath) -> int:
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)

    def _move(self, alias: KeyPath, place: KeyPath) -> None:
        holder, name = _holder(self._data, alias, make=False)
        if holder is None or name not in holder:
            return
        target, wanted = _holder(self._data, place, make=True)
        if target is None:
            return
        if target.get(wanted) is not None:
            self._add(alias, f"is the same key as {dotted(place)}, which is given too")
            del holder[name]
            return
        target[wanted] = holder.pop(name)
        for path, line in list(self._lines.items()):
            if path[: len(alias)] == alias:
                self._lines.setdefault((*place, *path[len(alias) :]), line)

    def _override(self, variable: str, place: KeyPath, value: str | None) -> None:
        if not value:
            return
        for switch in _SWITCHES:
            if place[: len(switch)] == switch:
                self._unfold(switch)
        holder, name = _holder(self._data, place, make=True)
        if holder is not None:
            holder[name] = value
            self._variables[place] = variable

    def _unfold(self, switch: KeyPath) -> None:
        holder, name = _holder(self._data, switch, make=False)
        if holder is not None and isinstance(holder.get(name), str):
            holder[name] = {"enabled": holder[name]}


def _holder(
    data: dict[str, Any], path: KeyPath, *, make: bool
) -> tuple[dict[str, Any] | None, str]:
    """Return the mapping that holds the last key of ``path``, or None where something else is."""
    here: Any = data
    for part in path[:-1]:
        if make and here.get(part) is None:
            here[part] = {}
        here = here.get(part)
        if not isinstance(here, dict):
            return None, str(path[-1])
    return here, str(path[-1])


def _depends(path: KeyPath, bad: KeyPath) -> bool:
    """Return whether a finding may only come of what was left out because of ``bad``."""
    for index, part in enumerate(bad):
        if isinstance(part, int):
            bad = bad[:index]  # the entries behind it have moved up
            break
    length = min(len(path), len(bad))
    names_destination = path[-1] in ("destination", "application_ack_destination")
    return path[:length] == bad[:length] or (
        names_destination and bad[:2] in (("hl7",), ("hl7", "outbound"))
    )


def _without(data: dict[str, Any], bad: list[KeyPath]) -> dict[str, Any]:
    """Return the data without the keys (and list entries) that are known to be wrong."""
    kept = copy.deepcopy(data)
    for path in bad:
        _remove(kept, path)
    _close_gaps(kept)
    pacs = kept.get("pacs")
    if not isinstance(pacs, dict):
        pacs = kept["pacs"] = {}
    pacs.setdefault("host", "unknown.invalid")
    return kept


_GONE = object()


def _remove(data: Any, path: KeyPath) -> None:
    here = data
    for depth, part in enumerate(path):
        if isinstance(here, list) and isinstance(part, int) and part < len(here):
            # An entry that lacks something can't be checked further.
            here[part] = _GONE
            return
        if not isinstance(here, dict) or part not in here:
            return
        if depth == len(path) - 1:
            del here[part]
            return
        here = here[part]


def _close_gaps(data: Any) -> None:
    if isinstance(data, dict):
        for value in data.values():
            _close_gaps(value)
    elif isinstance(data, list):
        data[:] = [item for item in data if item is not _GONE]
        for item in data:
            _close_gaps(item)
