"""A real service process for the tests that look at it from outside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from running_bridge import RunningBridge  # noqa: E402 - beside the scripts that also use it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONFIGURATION = {
    "mapping": {"modality_ae_titles": {"CT": ["CT_SCANNER_1"], "MR": ["MR_SCANNER_1"]}},
    # samples of the past stay on the worklist
    "worklist": {"max_age": "36500d"},
}


@pytest.fixture(scope="session")
def scripts() -> Path:
    """The folder of the drills."""
    return SCRIPTS


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBridge]:
    """A ready service on free ports, one for all tests of a module."""
    running = RunningBridge(tmp_path_factory.mktemp("bridge"), CONFIGURATION)
    running.start()
    yield running
    running.end()


@pytest.fixture
def new_bridge(tmp_path: Path) -> Iterator[Callable[..., RunningBridge]]:
    """Makes instances that are not started yet; all are ended after the test."""
    made: list[RunningBridge] = []

    def make(name: str = "bridge", configuration: dict[str, object] | None = None) -> RunningBridge:
        made.append(RunningBridge(tmp_path / name, CONFIGURATION | (configuration or {})))
        return made[-1]

    yield make
    for one in made:
        one.end()
