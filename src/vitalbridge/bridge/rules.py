"""From the configuration to what the pure parts take: mapping rules, policy, sources."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers import HANDLERS, HandlerContext, Policy
from vitalbridge.bridge.intake import Rules, Source
from vitalbridge.bridge.settings import source_for
from vitalbridge.translate import MappingRules, Station, tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitalbridge.bridge.settings import Settings

MOST_SENDERS = 4096
"""Senders whose settings are remembered; MSH-3 and MSH-4 come from the network."""


def mapping_rules(settings: Settings, uid_namespace: str) -> MappingRules:
    """Return the mapping as the site configured it over the built-in tables."""
    mapping = settings.mapping
    overrides = mapping.code_tables
    return MappingRules(
        modality_stations={
            modality: tuple(
                Station(s.ae_title, s.station_name, s.location, s.default) for s in stations
            )
            for modality, stations in mapping.modality_ae_titles.items()
        },
        procedure_to_modality=dict(mapping.procedure_to_modality),
        modality_aliases=dict(mapping.modality_aliases),
        default_patient_id_issuer=mapping.default_patient_id_issuer,
        accession_sources=tuple(mapping.accession_sources),
        timezone=mapping.timezone,
        uid_root=mapping.uid_root,
        uid_namespace=uid_namespace,
        institution_name=mapping.institution_name,
        custom_fields=dict(mapping.custom_field_mappings),
        long_identifiers=mapping.long_identifiers,
        sex={**tables.SEX, **overrides.get("sex", {})},
        priority={**tables.PRIORITY, **overrides.get("priority", {})},
        coding_schemes={**tables.CODING_SCHEMES, **overrides.get("coding_schemes", {})},
        body_sites={**tables.BODY_SITES, **overrides.get("body_sites", {})},
    )


def policy(settings: Settings) -> Policy:
    """Return the choices of the site."""
    return msgspec.convert(settings.policy.model_dump(), Policy)


def sources(settings: Settings) -> Callable[[str, str], Source]:
    """Return a function from MSH-3.1 and MSH-4.1 to how that sender is read."""
    configured = list(settings.hl7.sources)

    @lru_cache(MOST_SENDERS)
    def source_of(application: str, facility: str) -> Source:
        found = source_for(configured, application, facility)
        return Source(found.charset, frozenset(found.processing_ids), found.timezone)

    return source_of


def contexts(settings: Settings, rules: MappingRules) -> Callable[[str], HandlerContext]:
    """Return a function from a sender (``MSH-3|MSH-4``) to the surroundings of its messages."""
    chosen = policy(settings)
    source_of = sources(settings)

    @lru_cache(MOST_SENDERS)
    def context_of(sender: str) -> HandlerContext:
        application, _, facility = sender.partition("|")
        return HandlerContext(rules, chosen, sender, source_of(application, facility).timezone)

    return context_of


def intake_rules(settings: Settings, rules: MappingRules) -> Rules:
    """Return what intake needs of the configuration."""
    listener = settings.hl7.listener
    return Rules(
        handled_types=frozenset(HANDLERS),
        accept_unknown_types=settings.policy.unknown_type == "accept",
        source_of=sources(settings),
        mapping=rules,
        max_queue_size=settings.queue.max_queue_size,
        ack_hold=listener.ack_hold,
        max_message_size=int(listener.max_message_size),
    )
