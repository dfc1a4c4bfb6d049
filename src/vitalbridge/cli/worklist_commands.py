"""``pacs_bridge worklist ...``: the worklist, read from outside of the service."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vitalbridge.bridge.store import inspect
from vitalbridge.cli.output import print_json, print_pairs, print_table
from vitalbridge.runtime.process import ExitCode

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

_COLUMNS = ("START", "MODALITY", "STATIONS", "STATUS", "ACCESSION", "STEP", "PATIENT ID", "NAME")


def list_(database: Path, arguments: Namespace) -> int:
    """Print worklist steps by start."""
    lines = inspect.list_worklist(
        database, unmapped=arguments.unmapped, hidden=arguments.all, most=arguments.limit
    )
    if arguments.json:
        print_json([line._asdict() for line in lines])
        return ExitCode.OK
    print_table(
        _COLUMNS,
        [
            (
                line.start,
                line.modality,
                line.stations,
                f"{line.status} (held)" if line.held else line.status,
                line.accession,
                line.step_id,
                line.patient_id,
                line.patient_name,
            )
            for line in lines
        ],
    )
    return ExitCode.OK


def show(database: Path, arguments: Namespace) -> int:
    """Print everything about the steps of one accession number."""
    found = inspect.show_worklist(database, arguments.accession)
    if not found:
        sys.stderr.write("no step has this accession number\n")
        return ExitCode.FAILED
    if arguments.json:
        print_json(
            [
                {
                    **entry.line._asdict(),
                    "patient": entry.patient.attributes,
                    "order": entry.step.order_attributes,
                    "step": entry.step.step_attributes,
                    "generated_ids": entry.generated_ids,
                }
                for entry in found
            ]
        )
        return ExitCode.OK
    for index, (line, step, patient, generated_ids) in enumerate(found):
        if index:
            sys.stdout.write("\n")
        print_pairs(list(line._asdict().items()))
        print_pairs([(f"{keyword} in HL7", told) for keyword, told in generated_ids])
        for attributes in (patient.attributes, step.order_attributes, step.step_attributes):
            print_pairs([(f"  {keyword}", value) for keyword, value in attributes.items()])
    return ExitCode.OK
