from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalbridge.runtime.yaml_lines import MAX_BYTES, Document, read_yaml


def read(text: str, **environ: str) -> Document:
    return read_yaml(text.encode(), environ)


def faults(document: Document) -> list[tuple[int, str]]:
    return [(fault.line, fault.text) for fault in document.faults]


def test_every_key_has_its_line() -> None:
    document = read("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n")
    assert document.data == {"a": {"b": "1", "c": ["x", {"y": "2"}]}}
    assert document.lines[("a",)] == 1
    assert document.lines[("a", "b")] == 2
    assert document.lines[("a", "c", 0)] == 4
    assert document.lines[("a", "c", 1, "y")] == 5
    assert document.faults == []


def test_scalars_stay_the_text_that_was_written() -> None:
    document = read(
        "root: 2.250\nmode: 0640\ncountry: NO\nsize: 10485760  # 10MB\ntime: 12:30:00\n"
    )
    assert document.data == {
        "root": "2.250",
        "mode": "0640",
        "country": "NO",
        "size": "10485760",
        "time": "12:30:00",
    }


def test_only_plain_nothing_is_null() -> None:
    document = read("a:\nb: ~\nc: null\nd: ''\ne: 'null'\n")
    assert document.data == {"a": None, "b": None, "c": None, "d": "", "e": "null"}


def test_json_is_read_too() -> None:
    value = {"a": {"b": [1, "x", None, True]}}
    assert read(json.dumps(value, indent=2)).data == {"a": {"b": ["1", "x", None, "true"]}}


def test_variables_are_replaced_plain_and_quoted() -> None:
    document = read(
        'port: ${PORT:-2576}\nhost: "${HOST}"\n'
        "url: 'http://${HOST}:${PORT:-80}/'\nempty: ${E:-}\n",
        HOST="ris",
    )
    assert document.data == {"port": "2576", "host": "ris", "url": "http://ris:80/", "empty": None}


def test_an_empty_variable_takes_the_default() -> None:
    assert read("a: ${A:-b}", A="").data == {"a": "b"}


def test_an_unset_variable_is_a_fault_at_its_line() -> None:
    document = read("a: 1\nb: ${NOPE}\n")
    assert faults(document) == [(2, "environment variable NOPE is not set and has no default")]


def test_a_variable_can_not_add_structure() -> None:
    assert read("a: ${A}", A="{x: 1}\nb: 2").data == {"a": "{x: 1}\nb: 2"}


def test_duplicate_keys_are_faults_and_the_first_counts() -> None:
    document = read("a: 1\nb: 2\na: 3\n")
    assert document.data == {"a": "1", "b": "2"}
    assert faults(document) == [(3, "duplicate key, already on line 1")]


def test_merge_keys_work_and_own_keys_win() -> None:
    document = read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n")
    assert document.data == {"base": {"x": "1", "y": "2"}, "use": {"x": "1", "y": "3"}}
    assert document.lines[("use", "y")] == 4
    assert document.faults == []


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: [1, 2\nb: 3\n", 2, "YAML syntax"),
        ("a:\n\t- b\n", 2, "YAML syntax"),
        ("a: *nowhere\n", 1, "alias *nowhere"),
        ("a: &a [*a]\n", 1, "alias *a"),
        ("a: 1\n---\nb: 2\n", 2, "more than one YAML document"),
        ("[" * 5000, 1, "nested deeper"),
        ("a: 1\n? [x]\n: 2\n", 2, "a key must be plain text"),
    ],
)
def test_what_is_broken_has_a_line(text: str, line: int, part: str) -> None:
    found = read(text).faults
    assert [(fault.line, part in fault.text) for fault in found] == [(line, True)]


def test_bytes_that_are_no_text_have_a_line() -> None:
    assert faults(read_yaml(b"a: 1\nb: \xff\n", {})) == [(2, "not UTF-8 text")]


@pytest.mark.parametrize("form", ["[*{0}, *{0}]", "{{<<: [*{0}, *{0}], k: 1}}"])
def test_aliases_can_not_unfold_without_end(form: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {form.format(f'a{n - 1}')}" for n in range(1, 28)]
    document = read("\n".join(lines))
    assert document.data is None
    assert "unfolds to more than" in document.faults[0].text


def test_size_is_bounded() -> None:
    assert "larger than" in read_yaml(b" " * (MAX_BYTES + 1), {}).faults[0].text


def test_an_empty_file_is_no_fault() -> None:
    assert read("# nothing\n").data is None
    assert read("# nothing\n").faults == []


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*<\n \t#'\"|>?!%@,${}", max_size=80))
def test_garbage_never_raises(raw: bytes | str) -> None:
    document = read_yaml(raw.encode() if isinstance(raw, str) else raw, {})
    assert document.data is None or isinstance(document.data, str | list | dict)


_PLAIN = st.text(alphabet="abcdefgh _/.0123456789äß", min_size=1, max_size=12)
_TREES = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_PLAIN, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_PLAIN, _TREES, max_size=5))
def test_agrees_with_the_library_on_text(tree: object) -> None:
    text = yaml.safe_dump(tree, default_style='"', allow_unicode=True)
    assert read(text).data == yaml.load(text, Loader=yaml.BaseLoader)
