"""What is wrong with a configuration, said so that it can be put right at once."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

KeyPath: TypeAlias = tuple[str | int, ...]


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: the file (or environment variable), line, key, and what.

    ``line`` is 0 where there is none.
    """

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigurationError(Exception):
    """The configuration can't be used; ``problems`` has everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)


def dotted(path: KeyPath) -> str:
    """Return ``hl7.outbound[0].port`` for ``("hl7", "outbound", 0, "port")``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def wording(error: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> str:
    """Return in one plain phrase what a validation error says about the key at ``path``."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"Missing required field: {dotted(path)}"
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(path, model)}"
    template = _WORDING.get(kind)
    if template is None:
        return error["msg"]
    return template.format_map({name: _shown(value) for name, value in context.items()})


_WORDING = {
    "literal_error": "must be one of {expected}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_pattern_mismatch": "doesn't have the form {pattern}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "too_short": "must have at least {min_length} entry",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "byte_size": "must be a size: 10485760, 10MiB or 10MB",
    "byte_size_unit": "must be a size: 10485760, 10MiB or 10MB",
}


def _shown(value: Any) -> str:
    text = str(value)
    return text.replace("'", "") if isinstance(value, str) else text.removesuffix(".0")


def _suggestion(path: KeyPath, model: type[BaseModel]) -> str:
    siblings = _keys_at(path[:-1], model)
    close = get_close_matches(str(path[-1]), siblings, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _keys_at(path: KeyPath, model: type[BaseModel]) -> list[str]:
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = section_of(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a key's type is, is a list or mapping of, or may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in reversed(getattr(annotation, "__args__", ())):
        found = section_of(argument)
        if found is not None:
            return found
    return None
