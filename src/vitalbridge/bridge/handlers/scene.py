"""What all order groups of one message have in common while they are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from vitalbridge.bridge.handlers.identity import agree, names, note_warnings, patient_of
from vitalbridge.bridge.model import Note, Patient
from vitalbridge.translate import message_time, patient_from

if TYPE_CHECKING:
    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.hl7 import Message
    from vitalbridge.translate.records import PatientIdentifier


class Scene(NamedTuple):
    """A message, its surroundings, and whom it is about.

    ``disputed``: PID and the known patient are not one person, and the policy is to hold.
    ``named`` is the number in PID-3 if it is that of a patient merged into this one.
    """

    message: Message
    context: HandlerContext
    working: Working
    patient: Patient
    disputed: bool
    named: PatientIdentifier | None


def assumed_start(scene: Scene) -> str:
    """Return the start of a step that no message gives one: MSH-7, else now, in the site's zone."""
    context = scene.context
    told = message_time(scene.message, context.rules, source_timezone=context.source_timezone)
    if told:
        return told
    return scene.working.now.astimezone(ZoneInfo(context.rules.timezone)).strftime("%Y%m%d%H%M%S")


def scene_of(message: Message, context: HandlerContext, working: Working) -> Scene:
    """Find or make the patient of an order or appointment message and compare them with its PID."""
    record = patient_from(message, context.rules, source_timezone=context.source_timezone)
    if record.warnings:
        note_warnings(working, record.warnings)
    patient = patient_of(working, record)
    disputed = False
    if not agree(patient.attributes, record.attributes):
        disputed = context.policy.patient_mismatch == "hold"
        working.add(
            Note(
                "alarm" if disputed else "warning",
                "two of family name, birth date and sex are not those of the known patient",
                "PID",
            )
        )
    first = record.identifiers[0]
    named = None if names(patient, first) else first
    return Scene(message, context, working, patient, disputed, named)
