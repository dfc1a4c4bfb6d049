"""The reference of all keys, as Markdown and as an example file, written from the models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ByteSize, SecretStr

from vitalbridge.bridge.settings.fields import Kind
from vitalbridge.bridge.settings.load import ALIASES, ENVIRONMENT
from vitalbridge.bridge.settings.model import Settings, is_inert
from vitalbridge.bridge.settings.problems import dotted, section_of
from vitalbridge.runtime.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_VARIABLES = {
    dotted(place): variable for variable, places in ENVIRONMENT.items() for place in places
}


class Row:
    """One key: its path, how it is written, its field and whether it does nothing yet."""

    def __init__(self, path: str, field: FieldInfo, *, inert: bool) -> None:
        self.path = path
        self.field = field
        self.inert = inert or is_inert(field)
        self.inner = section_of(field.annotation)
        self.repeated = _holds(field.annotation, list)
        self.mapped = _holds(field.annotation, dict)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def _holds(annotation: Any, kind: type) -> bool:
    origin = get_origin(annotation)
    if origin is kind:
        return True
    return origin is not dict and any(_holds(part, kind) for part in get_args(annotation))


def rows(model: type[BaseModel] = Settings, prefix: str = "", *, inert: bool = False) -> list[Row]:
    """Return every key, sections before what is in them; ``[]`` and ``.*`` stand for entries."""
    found = []
    for name, field in model.model_fields.items():
        row = Row(f"{prefix}{name}", field, inert=inert)
        found.append(row)
        if row.inner is not None:
            deeper = row.path + (".*" if row.mapped else "")
            deeper += "[]" if row.repeated or _holds_list_in_dict(field.annotation) else ""
            found.extend(rows(row.inner, f"{deeper}.", inert=row.inert))
    return found


def _holds_list_in_dict(annotation: Any) -> bool:
    return get_origin(annotation) is dict and _holds(get_args(annotation)[1], list)


def markdown() -> str:
    """Return the reference page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from _INTRODUCTION
    top: list[Row] = rows()
    for section in (row for row in top if "." not in row.path):
        yield f"## {section.path}"
        yield ""
        yield _sentence(section) + _inert_note(section)
        yield ""
        inside = [
            row for row in top if row.path.startswith((f"{section.path}.", f"{section.path}["))
        ]
        if inside:
            yield "| key | type | default | meaning |"
            yield "|---|---|---|---|"
            for row in inside:
                yield f"| `{row.path}` | {_type(row)} | {_default_cell(row)} | {_meaning(row)} |"
            yield ""
    yield from _variables()
    yield from _aliases()


_INTRODUCTION = """\
# Configuration

<!-- Written by scripts/generate-configuration-reference; change the models instead. -->

One YAML (or JSON) file: `/etc/pacs_bridge/config.yaml`, or what `--config` names. Values come from
the built-in defaults, then the file, then the environment. `pacs_bridge --validate` says everything
that is wrong with a file, each with its line.

- `${VAR}` and `${VAR:-default}` are replaced by environment variables, quoted or not.
- Durations are written `500ms`, `30s`, `5m`, `1h` or `7d`; a bare number is seconds unless the type
  says otherwise. Sizes are bytes, `10MiB` or `10MB`.
- A key that doesn't exist is an error. A key without a value has its default.
- `[]` stands for the entries of a list, `.*` for the names of a mapping.
- *No effect yet*: the key is read and checked, and the service says at its start that it doesn't
  do anything in this version.

""".splitlines()


def _sentence(row: Row) -> str:
    return (row.field.description or "").strip()


def _inert_note(row: Row) -> str:
    return " *No effect yet.*" if row.inert else ""


def _meaning(row: Row) -> str:
    text = _sentence(row).replace("|", "\\|")
    variable = _VARIABLES.get(row.path)
    if variable is not None:
        text += f" Variable: `{variable}`."
    return text + _inert_note(row)


def _type(row: Row) -> str:
    text = type_name(row)
    return text.replace("|", "\\|")


def type_name(row: Row) -> str:
    """Return how the type of a key is called in the reference."""
    if row.inner is not None:
        if row.mapped:
            return "mapping to lists" if _holds_list_in_dict(row.field.annotation) else "mapping"
        return "list" if row.repeated else "section"
    for mark in row.field.metadata:
        if isinstance(mark, Kind):
            return mark.name
    return _named(row.field.annotation)


def _named(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list of {_named(arguments[0])}"
    if origin is dict:
        return f"mapping of {_named(arguments[0])} to {_named(arguments[1])}"
    if hasattr(annotation, "__metadata__"):
        marks = [mark.name for mark in annotation.__metadata__ if isinstance(mark, Kind)]
        return marks[0] if marks else _named(arguments[0])
    if arguments:
        return _named(next(part for part in arguments if part is not type(None)))
    names = {str: "text", int: "whole number", float: "number", bool: "true, false"}
    return names.get(annotation, "text" if annotation is SecretStr else str(annotation.__name__))


def _default_cell(row: Row) -> str:
    if row.field.is_required():
        return "required"
    if row.inner is not None and not row.repeated and not row.mapped:
        return ""
    text = default_text(row)
    return f"`{text}`" if text else ""


def default_text(row: Row) -> str:
    """Return the default as it would be written in YAML; empty where there is none."""
    value = row.field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and "duration" in type_name(row):
        return format_duration(value)
    if isinstance(value, ByteSize):
        return str(int(value))
    if isinstance(value, list):
        return "[" + ", ".join(str(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {item}" for name, item in value.items()) + "}"
    text = str(value)
    return text if text and text[0] not in "*&!%@`{[" else f'"{text}"'


def _variables() -> Iterator[str]:
    yield "## Environment variables"
    yield ""
    yield "They count whatever the file says. Empty ones count as absent, and so do those ending in"
    yield "`_PORT` that Kubernetes sets to an address (`tcp://10.0.0.7:11112`)."
    yield ""
    yield "| variable | key |"
    yield "|---|---|"
    for variable, places in ENVIRONMENT.items():
        yield f"| `{variable}` | {', '.join(f'`{dotted(place)}`' for place in places)} |"
    yield ""


def _aliases() -> Iterator[str]:
    yield "## Other places of keys"
    yield ""
    yield "| written | means |"
    yield "|---|---|"
    for alias, place in ALIASES:
        yield f"| `{dotted(alias)}` | `{dotted(place)}` |"


def example() -> str:
    """Return a file with every key at its default, each with what it means."""
    lines = list(_EXAMPLE_HEAD)
    _write(lines, Settings, 0)
    return "\n".join(lines) + "\n"


_EXAMPLE_HEAD = (
    "# Every key of PACS Bridge with its default.",
    "# Written by scripts/generate-configuration-reference; change the models instead.",
    "# What stands in a comment has no default, or is an example of an entry.",
)


def _write(lines: list[str], model: type[BaseModel], depth: int, *, comment: str = "") -> None:
    margin = f"{comment}{'  ' * depth}"
    for name, field in model.model_fields.items():
        row = Row(name, field, inert=False)
        if model is Settings:
            lines.append("")
        _explain(lines, row, margin)
        if row.inner is not None:
            _write_inner(lines, row, depth, comment)
        elif field.is_required():
            lines.append(f"{margin}{name}: {_SAMPLES.get(name, 'NAME')}")
        else:
            default = default_text(row)
            mark = "" if default or comment else "# "
            lines.append(f"{margin}{mark}{name}: {default}".rstrip())


_SAMPLES = {
    "host": "pacs.hospital.local",
    "port": "2576",
    "match": '"RIS|*"',
    "ae_title": "CT_SCANNER_1",
    "message_type_pattern": '"ADT^*"',
    "destination": "patient_cache",
}


def _explain(lines: list[str], row: Row, margin: str) -> None:
    text = _sentence(row) + (" No effect yet." if row.inert else "")
    kind = "" if row.inner is not None else f" ({type_name(row).replace('`', '')})"
    words, line = (text + kind).split(), f"{margin}#"
    for word in words:
        if len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = f"{margin}#"
        line += f" {word}"
    lines.append(line)


def _write_inner(lines: list[str], row: Row, depth: int, comment: str) -> None:
    margin = f"{comment}{'  ' * depth}"
    assert row.inner is not None
    if not row.repeated and not row.mapped and not _optional(row):
        lines.append(f"{margin}{row.name}:")
        _write(lines, row.inner, depth + 1, comment=comment)
        return
    entry: list[str] = []
    _write(entry, row.inner, 0)
    if _optional(row):
        lines.append(f"{margin}# {row.name}:")
        lines.extend(f"{margin}#   {line}" for line in entry if line)
        return
    lines.append(f"{margin}{row.name}: {'{}' if row.mapped else '[]'}")
    step = ""
    if row.mapped:
        lines.append(f"{margin}#   CT:")
        step = "  "
    lines.append(f"{margin}#   {step}-")
    lines.extend(f"{margin}#     {step}{line}" for line in entry if line)


def _optional(row: Row) -> bool:
    return type(None) in get_args(row.field.annotation)
