"""What no single key shows: files that must fit, names that must exist, ports that clash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from vitalbridge.bridge.settings import certificates
from vitalbridge.bridge.settings.problems import KeyPath, dotted

if TYPE_CHECKING:
    from vitalbridge.bridge.settings.model import Settings
    from vitalbridge.bridge.settings.tls import ClientTls, ServerTls


class Finding(msgspec.Struct, frozen=True):
    """A key and what is wrong with it; a ``note`` is worth saying but no reason to refuse."""

    path: KeyPath
    text: str
    note: bool = False


Check: TypeAlias = Callable[["Settings"], Iterator[Finding]]

INTERNAL_DESTINATIONS = ("patient_cache", "mwl_manager", "status_handler", "patient_merge_handler")


# DICOM PS3.3 C.12.1.1.2, tables C.12-2 to C.12-5.
def findings(settings: Settings) -> Iterator[Finding]:
    """Yield everything that is wrong, or worth saying, about keys taken together."""
    for check in _CHECKS:
        yield from check(settings)


def _tls(settings: Settings) -> Iterator[Finding]:
    yield from _server_tls(("hl7", "listener", "tls"), settings.hl7.listener.tls)
    if settings.fhir.enabled:
        yield from _server_tls(("fhir", "server", "tls"), settings.fhir.server.tls)
    for index, outbound in enumerate(settings.hl7.outbound):
        if outbound.enabled:
            yield from _client_tls(("hl7", "outbound", index, "tls"), outbound.tls)


def _server_tls(path: KeyPath, tls: ServerTls) -> Iterator[Finding]:
    if not tls.enabled:
        return
    required = {"cert_path": tls.cert_path, "key_path": tls.key_path}
    if tls.client_auth != "none":
        required["ca_path"] = tls.ca_path
    for name, value in required.items():
        if value is None:
            yield _missing((*path, name))
    yield from _files(path, tls)


def _client_tls(path: KeyPath, tls: ClientTls) -> Iterator[Finding]:
    if not tls.enabled:
        return
    if (tls.cert_path is None) != (tls.key_path is None):
        yield _missing((*path, "key_path" if tls.key_path is None else "cert_path"))
    yield from _files(path, tls)


def _files(path: KeyPath, tls: ServerTls | ClientTls) -> Iterator[Finding]:
    for result in certificates.examine(tls.cert_path, tls.key_path, tls.ca_path):
        yield Finding((*path, result.key), result.text, result.note)


def _missing(path: KeyPath) -> Finding:
    return Finding(path, f"Missing required field: {dotted(path)}")


def _ports(settings: Settings) -> Iterator[Finding]:
    listener, health, dicom = settings.hl7.listener, settings.monitoring.health, settings.dicom
    taken: list[tuple[KeyPath, str, int]] = [
        (("hl7", "listener", "port"), listener.bind_address, listener.port)
    ]
    if listener.tls.enabled and listener.tls.port is not None:
        taken.append((("hl7", "listener", "tls", "port"), listener.bind_address, listener.tls.port))
    taken.append((("monitoring", "health", "port"), health.bind_address, health.port))
    if dicom.enabled:
        taken.append((("dicom", "port"), dicom.bind_address, dicom.port))
    if settings.fhir.enabled:
        taken.append((("fhir", "server", "port"), "0.0.0.0", settings.fhir.server.port))
    if settings.admin.enabled:
        taken.append((("admin", "port"), settings.admin.bind_address, settings.admin.port))
    for index, (path, address, port) in enumerate(taken):
        for other, other_address, other_port in taken[:index]:
            if port == other_port and _overlap(address, other_address):
                yield Finding(path, f"port {port} is also that of {dotted(other)}")


_EVERYWHERE = frozenset({"0.0.0.0", "::"})
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def _overlap(one: str, other: str) -> bool:
    return one == other or one in _EVERYWHERE or other in _EVERYWHERE


def _pacs(settings: Settings) -> Iterator[Finding]:
    pacs, dicom = settings.pacs, settings.dicom
    if dicom.enabled and pacs.port == dicom.port and pacs.host in _HERE:
        text = f"port {pacs.port} of this machine is the bridge's own (dicom.port), not the PACS's"
        yield Finding(("pacs", "port"), text)
    if pacs.failover.enabled:
        for name in ("primary", "secondary"):
            if getattr(pacs, name) is None:
                yield _missing(("pacs", name))


def _destinations(settings: Settings) -> Iterator[Finding]:
    names: dict[str, int] = {}
    for index, outbound in enumerate(settings.hl7.outbound):
        path: KeyPath = ("hl7", "outbound", index, "name")
        if outbound.name in names:
            yield Finding(path, f"{outbound.name} is also hl7.outbound[{names[outbound.name]}]")
        if outbound.name in INTERNAL_DESTINATIONS:
            yield Finding(path, f"{outbound.name} is the name of one of the bridge's own parts")
        names.setdefault(outbound.name, index)
    for index, rule in enumerate(settings.routing_rules):
        if rule.destination not in names and rule.destination not in INTERNAL_DESTINATIONS:
            path = ("routing_rules", index, "destination")
            yield Finding(path, f"no destination is called {rule.destination}")
    for index, source in enumerate(settings.hl7.sources):
        wanted = source.application_ack_destination
        if wanted is not None and wanted not in names:
            path = ("hl7", "sources", index, "application_ack_destination")
            yield Finding(path, f"no hl7.outbound entry is called {wanted}")


def _stations(settings: Settings) -> Iterator[Finding]:
    for modality, stations in settings.mapping.modality_ae_titles.items():
        if sum(station.default for station in stations) > 1:
            path = ("mapping", "modality_ae_titles", modality)
            yield Finding(path, "more than one station is the default")


def _custom_fields(settings: Settings) -> Iterator[Finding]:
    if not settings.mapping.custom_field_mappings:
        return
    from vitalbridge.translate.custom import target  # slow to import, rarely needed

    for field, keyword in settings.mapping.custom_field_mappings.items():
        try:
            target(keyword)
        except ValueError as error:
            path = ("mapping", "custom_field_mappings", field)
            yield Finding(path, str(error).removeprefix("custom_fields: "))


def _source_charsets(settings: Settings) -> Iterator[Finding]:
    for index, source in enumerate(settings.hl7.sources):
        if source.charset is None:
            continue
        from vitalbridge.hl7.charsets import UnsupportedCharset, charset_of

        try:
            charset_of([source.charset])
        except UnsupportedCharset:
            text = f"{source.charset[:40]} is no character set of HL7 table 0211 that MLLP carries"
            yield Finding(("hl7", "sources", index, "charset"), text)


def _character_sets(settings: Settings) -> Iterator[Finding]:
    for index, peer in enumerate(settings.dicom.peers):
        for place, value in enumerate(peer.character_sets):
            from vitalbridge.dicom.charsets import UnknownCharacterSet, character_set

            try:
                character_set(value)
            except UnknownCharacterSet:
                path = ("dicom", "peers", index, "character_sets", place)
                yield Finding(path, f"{value[:40]} is no value of (0008,0005)")


def _retention(settings: Settings) -> Iterator[Finding]:
    if settings.queue.body_retention > settings.queue.metadata_retention:
        yield Finding(("queue", "body_retention"), "longer than queue.metadata_retention")
    if settings.queue.duplicate_window > settings.queue.metadata_retention:
        yield Finding(("queue", "duplicate_window"), "longer than queue.metadata_retention")


def _emr(settings: Settings) -> Iterator[Finding]:
    emr = settings.emr
    if not emr.enabled:
        return
    if emr.connection.base_url is None:
        yield _missing(("emr", "connection", "base_url"))
    needed = {"basic": ("username", "password"), "api_key": ("api_key",), "oauth2": ("client_id",)}
    for name in needed.get(emr.auth.type, ()):
        if getattr(emr.auth, name) is None:
            yield _missing(("emr", "auth", name))


_CHECKS: tuple[Check, ...] = (
    _tls,
    _ports,
    _pacs,
    _destinations,
    _stations,
    _custom_fields,
    _source_charsets,
    _character_sets,
    _retention,
    _emr,
)
