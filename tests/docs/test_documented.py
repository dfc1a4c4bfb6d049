"""What exists is documented, and what is documented exists: both are read live."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydicom.datadict import tag_for_keyword
from starlette.routing import Route

from vitalbridge.bridge.errors import ERROR_TYPES
from vitalbridge.bridge.handlers import HANDLERS
from vitalbridge.bridge.handlers.order_control import ACTIONS, ORDER_STATUS
from vitalbridge.bridge.health import Snapshot, report
from vitalbridge.bridge.health_http import health_app
from vitalbridge.bridge.metrics import BridgeMetrics
from vitalbridge.bridge.model import StepStatus
from vitalbridge.bridge.settings import reference
from vitalbridge.bridge.settings.operation import HealthSettings
from vitalbridge.bridge.store.journal import MessageState
from vitalbridge.cli import pacs_bridge, vitalbridge
from vitalbridge.runtime.process import ExitCode
from vitalbridge.translate.tables import APPOINTMENT_STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_HEALTH_PARTS = {
    "hl7_listener",
    "pacs_connection",
    "patient_cache",
    "message_queue",
    "worklist_server",
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def by_path(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


# -- pages written from the program ------------------------------------------------------------


@pytest.mark.parametrize("script", ["generate-reference-pages", "generate-configuration-reference"])
def test_generated_pages_are_up_to_date(script: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / script, "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- settings ------------------------------------------------------------------------------------


def test_every_setting_is_documented() -> None:
    page = text_of("docs/reference/configuration.md")
    for row in reference.rows():
        shown = f"| `{row.path}` |" if "." in row.path else f"## {row.path}\n"
        assert shown in page, row.path


def test_pages_name_only_settings_that_exist() -> None:
    rows = reference.rows()
    known = {row.path for row in rows}
    # A list or mapping may be named without the sign for its entries.
    known |= {path.replace("[]", "").replace(".*", "") for path in known}
    sections = "|".join(sorted({path.split(".")[0].split("[")[0] for path in known}))
    named = re.compile(rf"^(?:{sections})(?:\.[a-z_]+(?:\[\])?(?:\.\*)?)+$")
    other = {"queue.db", "queue.db.lock", "queue.db.generation", "queue.db.control"}
    seen = 0
    for page in PAGES:
        if page.name == "configuration.md":
            continue
        for token in _CODE.findall(prose(page)):
            token = token.split(":")[0].strip()
            if named.match(token) and token not in other and not token.endswith(".py"):
                seen += 1
                if by_path(page) == "docs/architecture.md" and token not in known:
                    # Modules are named there by their dotted names.
                    module = ROOT / "src/vitalbridge" / token.replace(".", "/")
                    assert module.is_dir() or module.with_suffix(".py").exists(), token
                    continue
                assert token in known, f"{by_path(page)}: {token}"
    assert seen > 60


# -- metrics and health --------------------------------------------------------------------------


def metric_names() -> set[str]:
    names = set()
    for line in BridgeMetrics().exposition().decode().splitlines():
        if line.startswith("# TYPE "):
            names.add(line.split()[2])
    return names


def test_every_metric_is_documented() -> None:
    page = text_of("docs/reference/metrics.md")
    names = metric_names()
    assert len(names) > 50
    for name in names:
        assert f"| `{name}` |" in page, name


def test_pages_name_only_metrics_that_exist() -> None:
    names = metric_names()
    prefixes = "|".join(sorted({name.split("_")[0] for name in names}))
    named = re.compile(rf"\b(?:{prefixes})_[a-z0-9_]+")
    others = _HEALTH_PARTS | {"pacs_bridge", "trace_id"} | set(ERROR_TYPES)
    others |= {"patient_identifier", "patient_name", "patient_merge"}  # tables
    others |= {row.name.removesuffix("[]") for row in reference.rows()}
    others |= {row.path.split(".")[0] for row in reference.rows()}
    seen = 0
    for page in PAGES:
        if page.name == "configuration.md":
            continue
        for code in _CODE.findall(prose(page)):
            if "/" in code or "-" in code:
                continue
            for name in named.findall(code):
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                if base in others:
                    continue
                seen += 1
                assert base in names, f"{by_path(page)}: {name}"
    assert seen > 60


class _NoProbes:
    """Only the paths of the application are looked at."""


def test_every_endpoint_is_documented() -> None:
    page = text_of("docs/operate.md")
    app = health_app(HealthSettings(), cast("Any", _NoProbes()), version="0")
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    assert len(paths) == 5
    for path in paths:
        assert f"`{path}`" in page, path


def test_every_component_of_health_is_documented() -> None:
    from datetime import UTC, datetime

    from vitalbridge.bridge.health import WorklistState

    snapshot = Snapshot(None, None, None, None, WorklistState(False, 0, 1))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    components = report(snapshot, now=now, version="0", uptime=0).components
    assert set(components) == _HEALTH_PARTS
    page = text_of("docs/operate.md")
    for name in components:
        assert f"| `{name}` |" in page, name


# -- commands ------------------------------------------------------------------------------------

PARSERS = {"pacs_bridge": pacs_bridge._parser(), "vitalbridge": vitalbridge._parser()}


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield parser
    for action in inner:
        for choice in action.choices.values():
            yield from leaves(choice)


@pytest.mark.parametrize("program", PARSERS)
def test_every_command_and_option_is_documented(program: str) -> None:
    page = text_of("docs/reference/cli.md")
    for command in leaves(PARSERS[program]):
        _, heading, rest = page.partition(f"### {command.prog}\n")
        assert heading, command.prog
        section = rest.split("\n### ")[0].split("\n## ")[0]
        for action in command._actions:
            for option in action.option_strings:
                if option not in ("-h", "--help"):
                    assert re.search(rf"`{option}[ `]", section), f"{command.prog} {option}"


def shell_lines(page: Path) -> Iterator[str]:
    for language, block in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "sh":
            joined = re.sub(r"<<'EOF'.*?^EOF$", "", block, flags=re.MULTILINE | re.DOTALL)
            yield from joined.replace("\\\n", " ").splitlines()


def our_commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of every call of one of our programs in the page's shell blocks."""
    for line in shell_lines(page):
        words: list[str] = []
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for word in [*lexer, ";"]:
            if not set(word) <= set("();<>|&"):
                words.append(word)
                continue
            if words and Path(words[0]).name in PARSERS:
                yield words
            words = []


def test_commands_in_pages_are_understood() -> None:
    count = 0
    for page in PAGES:
        for words in our_commands(page):
            # Ends the test with exit code 2 when an option or command doesn't exist.
            PARSERS[Path(words[0]).name].parse_args(
                ["1" if word == "SEQ" else word for word in words[1:]]
            )
            count += 1
    assert count > 25


def test_commands_named_in_text_exist() -> None:
    commands = {command.prog for program in PARSERS.values() for command in leaves(program)}
    groups = {" ".join(prog.split()[:2]) for prog in commands} | set(PARSERS)
    for page in PAGES:
        for code in _CODE.findall(prose(page)):
            words = code.split()
            if len(words) > 1 and words[0] in PARSERS and words[1].isalpha():
                named = " ".join(words[: 3 if words[1] in ("queue", "worklist") else 2])
                assert named in commands | groups, f"{by_path(page)}: {code}"


def test_every_exit_code_is_documented() -> None:
    page = text_of("docs/operate.md")
    for code in ExitCode:
        assert f"| {int(code)} |" in page, code


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert {"run", "test", "docs", "bench"} <= targets
    named = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named |= set(re.findall(r"^make ([a-z-]+)$", text, re.MULTILINE))
        named |= set(re.findall(r"`make ([a-z-]+)`", text))
    assert {"run", "test"} <= named <= targets


def test_requirements_of_the_readme_are_those_of_the_tests() -> None:
    tools = re.search(r'^tools="(.+)"$', text_of("scripts/test-tools"), re.MULTILINE)
    assert tools is not None
    readme = text_of("README.md")
    for pair in tools[1].split():
        assert pair.partition(":")[2] in readme, pair


# -- what messages do ----------------------------------------------------------------------------


def test_every_handled_message_is_documented() -> None:
    page = text_of("docs/connect-a-sender.md")
    table = page.split("## What is accepted")[1].split("Versions 2.1")[0]
    documented = set()
    family = ""
    for token in re.findall(r"(?:[A-Z]{3}\^)?[A-Z]\d\d", table):
        family = token[:4] if "^" in token else family
        documented.add(token if "^" in token else family + token)
    assert documented == set(HANDLERS)


def test_every_order_control_code_is_documented() -> None:
    page = text_of("docs/orders-and-status.md")
    table = page.split("## Order control")[1].split("ORC-5 refines")[0]
    assert set(re.findall(r"`([A-Z]{2})`", table)) == set(ACTIONS)
    for status in ORDER_STATUS:
        assert f"\n| `{status}` |" in page, status


def test_every_status_is_documented() -> None:
    page = text_of("docs/orders-and-status.md")
    for status in StepStatus:
        assert status.value in page.split("## Status")[1].split("## Patients")[0], status
    appointments = page.split("## Appointments")[1]
    for word, said in APPOINTMENT_STATUS.items():
        row = next(line for line in appointments.splitlines() if f"| {said} |" in line)
        assert word in row.lower(), word


def test_every_state_of_the_journal_is_documented() -> None:
    page = text_of("docs/operate.md")
    for state in MessageState:
        assert f"| `{state.name.lower()}` |" in page, state


def keywords_written() -> set[str]:
    """Return the DICOM keywords that the translation and the store put into worklist items."""
    found = set()
    modules = [
        path
        for path in sorted((ROOT / "src/vitalbridge/translate").glob("*.py"))
        if path.name != "custom.py"
    ]
    modules.append(ROOT / "src/vitalbridge/bridge/store/worklist_source.py")
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            word = node.value if isinstance(node, ast.Constant) else None
            if isinstance(word, str) and word.isidentifier() and tag_for_keyword(word) is not None:
                found.add(word)
    return found


def test_every_attribute_of_the_worklist_is_in_the_mapping() -> None:
    page = text_of("docs/mapping.md")
    keywords = keywords_written()
    assert len(keywords) > 45
    for keyword in keywords:
        assert re.search(rf"\b{keyword}\b", page), keyword


def test_mapping_names_only_keywords_of_dicom() -> None:
    page = prose(ROOT / "docs/mapping.md")
    for word in re.findall(r"\b(?:[A-Z][a-z]+){2,}(?:UID|ID)?\b|\b\w+AETitle\b", page):
        assert tag_for_keyword(word) is not None, word


# -- the pages themselves ------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """Return the anchor that the site gives a heading (Python-Markdown's toc)."""
    plain = re.sub(r"[`*]", "", heading).strip().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain))


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if link.startswith("http"):
            continue
        name, _, wanted = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if wanted:
            headings = _HEADING.findall(prose(target))
            assert wanted in map(anchor, headings), link


def test_every_page_is_in_the_navigation() -> None:
    navigation = text_of("mkdocs.yml").split("\nnav:\n")[1]
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in navigation, page


def test_site_is_built_without_warnings(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            ROOT / ".venv/bin/mkdocs",
            "build",
            "--strict",
            "--quiet",
            "--site-dir",
            tmp_path / "site",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    fetched = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?:)?//")
    built = list((tmp_path / "site").rglob("*.html"))
    assert len(built) > 20
    for page in built:
        assert not fetched.search(page.read_text(encoding="utf-8")), page.name
