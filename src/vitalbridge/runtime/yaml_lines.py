"""YAML (and so JSON) read into plain data that remembers on which line everything stood.

Scalars stay the text that was written (``2.25`` is not cut to a float, ``NO`` is no boolean,
``0640`` no octal number): what a value means is for the reader of the key to say. Only a plain
``null``, ``~`` or nothing becomes ``None``. ``${VAR}`` and ``${VAR:-default}`` are replaced in
plain and in quoted scalars alike, after parsing, so that a variable's value can't add structure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Data: TypeAlias = Union[str, list["Data"], dict[str, "Data"], None]  # noqa: UP007 (3.11)
KeyPath: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 1024 * 1024
MAX_NODES = 50_000
MAX_DEPTH = 32

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Fault(msgspec.Struct, frozen=True):
    """Something wrong in the text: the line (from 1), the key path, and what it is.

    ``no_value``: what stands at the path is not the value that was meant.
    """

    line: int
    path: KeyPath
    text: str
    no_value: bool = False


class Document(msgspec.Struct, frozen=True):
    """The data, the line of every key path (the empty path is the document), and the faults."""

    data: Data
    lines: dict[KeyPath, int]
    faults: list[Fault]


class _Broken(Exception):
    def __init__(self, line: int, path: KeyPath, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, path, text)


class _Scalar(msgspec.Struct):
    text: str
    plain: bool
    line: int


class _Sequence(msgspec.Struct):
    items: list[_Node]
    line: int


class _Mapping(msgspec.Struct):
    entries: list[tuple[_Node, _Node]]
    line: int


_Node: TypeAlias = _Scalar | _Sequence | _Mapping


def read_yaml(raw: bytes, environ: Mapping[str, str]) -> Document:
    """Return the one YAML or JSON document of ``raw`` with variables taken from ``environ``.

    Never raises: whatever is wrong (syntax, duplicate keys, an unset variable, more than
    :data:`MAX_BYTES`, aliases that unfold beyond :data:`MAX_NODES`) is among ``faults``; after a
    syntax error ``data`` is ``None``.
    """
    if len(raw) > MAX_BYTES:
        return _failed(1, (), f"larger than {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return _failed(line, (), "not UTF-8 text")
    try:
        root = _Composer(text).document()
        walk = _Walk(environ)
        data = walk.value(root, (), 0) if root is not None else None
    except _Broken as broken:
        return Document(None, {(): 1}, [broken.fault])
    except yaml.YAMLError as error:
        return _syntax_error(error)
    walk.lines.setdefault((), 1)
    return Document(data, walk.lines, walk.faults)


def _failed(line: int, path: KeyPath, text: str) -> Document:
    return Document(None, {(): 1}, [Fault(line, path, text)])


def _syntax_error(error: yaml.YAMLError) -> Document:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML"
    if mark is None:
        return _failed(1, (), f"YAML syntax: {problem}")
    return _failed(mark.line + 1, (), f"YAML syntax: {problem} (column {mark.column + 1})")


class _Composer:
    """Events to nodes; nesting is bounded, so recursion is."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=_LOADER))
        self._anchors: dict[str, _Node] = {}

    def document(self) -> _Node | None:
        root: _Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _Broken(_line(event), (), "more than one YAML document")
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise _Broken(line, (), f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            known = self._anchors.get(event.anchor or "")
            if known is None:
                raise _Broken(line, (), f"alias *{event.anchor} stands for nothing complete")
            return known
        node = self._fresh(event, line, depth)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _fresh(self, event: yaml.Event, line: int, depth: int) -> _Node:
        if isinstance(event, yaml.ScalarEvent):
            return _Scalar(event.value, event.style is None or event.style == "", line)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[_Node] = []
            for inner in self._events:
                if isinstance(inner, yaml.SequenceEndEvent):
                    break
                items.append(self._node(inner, depth + 1))
            return _Sequence(items, line)
        entries: list[tuple[_Node, _Node]] = []
        for inner in self._events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key = self._node(inner, depth + 1)
            entries.append((key, self._node(next(self._events), depth + 1)))
        return _Mapping(entries, line)


class _Walk:
    """Nodes to data, with lines, variables and faults."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._nodes = 0
        self.lines: dict[KeyPath, int] = {}
        self.faults: list[Fault] = []

    def value(self, node: _Node, path: KeyPath, depth: int) -> Data:
        self._count(node, path, depth)
        self.lines.setdefault(path, node.line)
        if isinstance(node, _Scalar):
            return self._scalar(node, path)
        if isinstance(node, _Sequence):
            return [
                self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.items)
            ]
        return self._mapping(node, path, depth)

    def _count(self, node: _Node, path: KeyPath, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Broken(node.line, path[:1], f"unfolds to more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise _Broken(node.line, path[:1], f"nested deeper than {MAX_DEPTH} levels")

    def _mapping(self, node: _Mapping, path: KeyPath, depth: int) -> dict[str, Data]:
        result: dict[str, Data] = {}
        merged: list[_Mapping] = []
        for key, child in node.entries:
            if not isinstance(key, _Scalar):
                self.faults.append(Fault(key.line, path, "a key must be plain text"))
                continue
            if key.plain and key.text == "<<":
                merged.extend(self._merge_sources(child, path))
                continue
            here = (*path, key.text)
            if key.text in result:
                first = self.lines[here]
                self.faults.append(Fault(key.line, here, f"duplicate key, already on line {first}"))
                continue
            self.lines.setdefault(here, key.line)
            result[key.text] = self.value(child, here, depth + 1)
        for source in merged:
            self._count(source, path, depth + 1)
            for name, value in self._mapping(source, path, depth + 1).items():
                result.setdefault(name, value)
        return result

    def _merge_sources(self, node: _Node, path: KeyPath) -> list[_Mapping]:
        sources = node.items if isinstance(node, _Sequence) else [node]
        usable = [source for source in sources if isinstance(source, _Mapping)]
        if len(usable) != len(sources):
            self.faults.append(Fault(node.line, path, "<< takes a mapping or a list of mappings"))
        return usable

    def _scalar(self, node: _Scalar, path: KeyPath) -> str | None:
        if node.plain and node.text in _NULLS:
            return None
        if "${" not in node.text:
            return node.text
        text = _VARIABLE.sub(lambda match: self._variable(match, node, path), node.text)
        return None if node.plain and text in _NULLS else text

    def _variable(self, match: re.Match[str], node: _Scalar, path: KeyPath) -> str:
        name, default = match.group(1), match.group(2)
        value = self._environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            text = f"environment variable {name} is not set and has no default"
            self.faults.append(Fault(node.line, path, text, no_value=True))
            return match.group()
        return value


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark is not None else 1
