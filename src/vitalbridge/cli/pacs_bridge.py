"""The ``pacs_bridge`` command: the service, the check of its configuration, the operator's tools.

Everything heavy is imported where it is needed, so that the process has its name and ignores SIGHUP
within its first milliseconds.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vitalbridge.runtime.process import ExitCode, ignore_hangup, set_name

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_CONFIGURATION = Path("/etc/pacs_bridge/config.yaml")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return how it ends: 0, 1, 2 (usage) or 78 (configuration)."""
    ignore_hangup()
    set_name("pb-cli")
    arguments = _parser().parse_args(argv)
    if arguments.version:
        return _version()
    if arguments.validate:
        return _validate(_configuration(arguments))
    if arguments.group is not None:
        return _tool(arguments)
    set_name("pacs_bridge")
    return _serve(_configuration(arguments))


def _configuration(arguments: argparse.Namespace) -> Path | None:
    if arguments.config is not None:
        return Path(arguments.config)
    return DEFAULT_CONFIGURATION if DEFAULT_CONFIGURATION.exists() else None


def _version() -> int:
    from importlib.metadata import version

    print(f"pacs_bridge {version('vitalbridge')}")
    return ExitCode.OK


def _validate(path: Path | None) -> int:
    from vitalbridge.bridge.settings import BUILT_IN, examine

    result = examine(path, os.environ)
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    for problem in result.problems:
        print(problem, file=sys.stderr)
    if result.settings is None:
        return ExitCode.FAILED
    print(f"Configuration OK: {path or BUILT_IN}")
    return ExitCode.OK


def _serve(path: Path | None) -> int:
    from vitalbridge.bridge.settings import ConfigurationError, load

    if path is None:
        print(f"{DEFAULT_CONFIGURATION}: no such file; using built-in defaults", file=sys.stderr)
    try:
        settings = load(path, os.environ)
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return ExitCode.CONFIGURATION

    from vitalbridge.bridge.service import run

    return run(settings, path)


def _tool(arguments: argparse.Namespace) -> int:
    from vitalbridge.bridge.settings import ConfigurationError
    from vitalbridge.bridge.store.files import StoreError
    from vitalbridge.bridge.store.salvage import SalvageError
    from vitalbridge.cli import queue_commands, worklist_commands

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    commands = {
        ("queue", "stats"): queue_commands.stats,
        ("queue", "list"): queue_commands.list_,
        ("queue", "show"): queue_commands.show,
        ("queue", "verify"): queue_commands.verify,
        ("queue", "checkpoint"): queue_commands.checkpoint,
        ("queue", "salvage"): queue_commands.salvage,
        ("queue", "retry"): queue_commands.resolve,
        ("queue", "release"): queue_commands.resolve,
        ("worklist", "list"): worklist_commands.list_,
        ("worklist", "show"): worklist_commands.show,
    }
    try:
        return commands[arguments.group, arguments.command](_database(arguments), arguments)
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
    except (StoreError, SalvageError) as error:
        print(f"pacs_bridge: {error}", file=sys.stderr)
    except OSError as error:
        print(f"pacs_bridge: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    return ExitCode.FAILED


def _database(arguments: argparse.Namespace) -> Path:
    if arguments.database is not None:
        return Path(arguments.database)

    from vitalbridge.bridge.settings import load

    return Path(load(_configuration(arguments), os.environ).queue.database_path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pacs_bridge",
        description="HL7 v2 orders in, DICOM worklist out. Without a command: the service.",
        epilog="exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration at start",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-c",
        "--config",
        metavar="PATH",
        help=f"configuration, YAML or JSON (default: {DEFAULT_CONFIGURATION} if it exists,"
        " else built-in defaults)",
    )
    parser.add_argument(
        "--validate", action="store_true", help="check the configuration, open nothing, and end"
    )
    parser.add_argument("-v", "--version", action="store_true", help="print the version and end")
    groups = parser.add_subparsers(dest="group", metavar="COMMAND", title="commands")
    _add_queue(groups)
    _add_worklist(groups)
    return parser


def _add_queue(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    queue = groups.add_parser("queue", help="the journal of messages", allow_abbrev=False)
    commands = queue.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add(commands, "stats", "how much is in the database")
    listing = _add(commands, "list", "the newest messages")
    listing.add_argument("--state", help="only those in this state")
    _add_limit(listing, 50)
    show = _add(commands, "show", "one message")
    show.add_argument("seq", type=int, metavar="SEQ", help="its number in the list")
    show.add_argument("--body", action="store_true", help="also its text: personal data")
    show.add_argument("--raw", action="store_true", help="only its bytes: personal data")
    salvage = _add(commands, "salvage", "messages in write-ahead logs that were set aside")
    salvage.add_argument("--body", action="store_true", help="also their text: personal data")
    salvage.add_argument(
        "--to", metavar="DIR", help="write their bytes to files SEQ.hl7 there: personal data"
    )
    retry = _add(commands, "retry", "have the running service handle a dead letter again")
    retry.add_argument("seq", type=int, metavar="SEQ", help="its number in the list")
    release = _add(commands, "release", "let messages go on that wait for a dead letter")
    release.add_argument("seq", type=int, metavar="SEQ", help="the dead letter's number")
    _add(commands, "verify", "check the database file")
    _add(commands, "checkpoint", "bring the database of a stopped service into one file")


def _add_worklist(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    worklist = groups.add_parser("worklist", help="the modality worklist", allow_abbrev=False)
    commands = worklist.add_subparsers(dest="command", metavar="COMMAND", required=True)
    listing = _add(commands, "list", "steps by start, with patients' names")
    listing.add_argument("--unmapped", action="store_true", help="only those of unknown modality")
    listing.add_argument("--all", action="store_true", help="also those that no query shows")
    _add_limit(listing, 100)
    show = _add(commands, "show", "everything about the steps of one accession number")
    show.add_argument("accession", metavar="ACCESSION")


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    # Without a default of its own, so that one given before the command stays.
    command.add_argument("-c", "--config", metavar="PATH", default=argparse.SUPPRESS)
    command.add_argument(
        "--database", metavar="PATH", default=None, help="this file instead of the configured one"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _add_limit(command: argparse.ArgumentParser, most: int) -> None:
    command.add_argument("--limit", type=_positive, default=most, metavar="N", help="at most N")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
