"""What all order groups of one message have in common while they are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from vitalbridge.bridge.handlers.disputes import description
from vitalbridge.bridge.handlers.identity import agree, names, note_warnings, patient_of
from vitalbridge.bridge.model import Note, Patient
from vitalbridge.translate import message_time, patient_from

if TYPE_CHECKING:
    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.dicom.attributes import Attributes
    from vitalbridge.hl7 import Message
    from vitalbridge.translate.records import PatientIdentifier


class Scene(NamedTuple):
    """A message, its surroundings, and whom it is about.

    ``described`` is what PID says of a person who is not the known patient, if the policy is to
    hold; else it is empty. ``named`` is the number in PID-3 if it is that of a patient merged into
    this one.
    """

    message: Message
    context: HandlerContext
    working: Working
    patient: Patient
    described: Attributes
    named: PatientIdentifier | None

    @property
    def disputed(self) -> bool:
        """Whether PID and the known patient are not one person, and the policy is to hold."""
        return bool(self.described)


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
    described: Attributes = {}
    if not agree(patient.attributes, record.attributes):
        if context.policy.patient_mismatch == "hold":
            described = description(record.attributes)
        working.add(
            Note(
                "alarm" if described else "warning",
                "two of family name, birth date and sex are not those of the known patient",
                "PID",
            )
        )
    first = record.identifiers[0]
    named = None if names(patient, first) else first
    return Scene(message, context, working, patient, described, named)
