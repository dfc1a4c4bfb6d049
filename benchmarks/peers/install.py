"""Getting the peers that Python's packaging can't give."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.service import ROOT

FOLDER = ROOT / "benchmarks"


def medplum() -> list[str] | None:
    """Return the command of the @medplum/hl7 server without its port; None without npm or network.

    Installed once, into benchmarks/node_modules.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    if not (FOLDER / "node_modules" / "@medplum" / "hl7").exists():
        command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
        if subprocess.run(command, cwd=FOLDER, check=False).returncode:
            return None
    return [node, str(Path(FOLDER, "peers", "medplum_server.mjs"))]
