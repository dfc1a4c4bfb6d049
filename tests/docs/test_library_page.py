"""The examples of the page about the HL7 library, run as they stand there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/hl7-library.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_do_what_they_show() -> None:
    examples = "".join(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    test = doctest.DocTestParser().get_doctest(examples, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 30
    complaints: list[str] = []
    doctest.DocTestRunner().run(test, out=complaints.append)
    assert complaints == []
