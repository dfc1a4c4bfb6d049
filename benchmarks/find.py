"""A modality asks for one entry, on an association that it keeps, among more and more entries.

Beside it Debian's wlmscpfs with the same entries, as the bridge itself returned them.
"""

from __future__ import annotations

import io
import random
import shutil
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from benchmarks.dicom_client import FIND, DicomError, FindClient, by_accession
from benchmarks.service import Failed, bridge, free_ports, load, running, wait_for
from benchmarks.table import Figure, ms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.service import Bridge

TITLE = "PACS_BRIDGE"
PEER_SIZES = (1_000, 10_000)


def run(*, quick: bool) -> list[Figure]:
    """Return median times among 1,000, 10,000 and 100,000 entries."""
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000)
    figures: list[Figure] = []
    first = 0.0
    with bridge() as service:
        filled = 0
        for size in sizes:
            _fill(service, filled, size)
            filled = size
            seconds = _median(service.dicom, size, 50 if quick else 300)
            first = first or seconds
            target, met = _target(size, seconds, first)
            note = f"{seconds / first:.2f} x the time among 1,000"
            if size in PEER_SIZES:
                note += _beside(service, size, seconds)
            figures.append(Figure("find", f"one of {size:,}", ms(seconds), target, met, note))
    return figures


def _target(size: int, seconds: float, first: float) -> tuple[str, bool]:
    if size > 10_000:
        return "< 20 ms", seconds < 0.020
    return "< 10 ms, <= 1.5 x", seconds < 0.010 and seconds <= 1.5 * first


def _fill(service: Bridge, filled: int, size: int) -> None:
    count = size - filled
    result = load(port=service.mllp, connections=50, count=count, first=filled + 1, seconds=300)
    if result["answered"] != count:
        raise Failed(f"only {result['answered']} of {count} orders were answered in time")
    service.settled()


def _median(port: int, size: int, times: int) -> float:
    """Return the median time of a query, after a few that warm up."""
    client = FindClient("127.0.0.1", port, TITLE)
    choice = random.Random(size)
    seconds = []
    for _ in range(times + 3):
        accession = f"{choice.randint(1, size):010d}"
        identifier = by_accession(accession)
        began = time.perf_counter()
        answer = client.find(identifier)
        seconds.append(time.perf_counter() - began)
        if answer.status or len(answer.matches) != 1 or accession.encode() not in answer.matches[0]:
            raise Failed(f"{len(answer.matches)} matches, status {answer.status:04X}")
    client.close()
    return median(seconds[3:])


def _beside(service: Bridge, size: int, ours: float) -> str:
    program = shutil.which("wlmscpfs")
    if program is None:
        return "; wlmscpfs is not installed"
    with _wlmscpfs(program, service, size) as port:
        try:
            theirs = _median(port, size, 20 if size < 5_000 else 5)
        except DicomError as error:
            raise Failed(f"wlmscpfs: {error}") from error
    return f"; wlmscpfs {ms(theirs)}, {theirs / ours:.0f} x"


@contextmanager
def _wlmscpfs(program: str, service: Bridge, size: int) -> Iterator[int]:
    """Run wlmscpfs over files of what the bridge returns; give its port."""
    folder = service.directory / f"worklist-{size}" / TITLE
    _write_files(service, folder, size)
    (port,) = free_ports(1)
    # Without TCP_NODELAY its answers wait 40 ms for nothing.
    command = [program, "-q", "-dfp", str(folder.parent), str(port)]
    with running(command, TCP_NODELAY="1") as process:
        wait_for(process, port)
        yield port


def _write_files(service: Bridge, folder: Path, size: int) -> None:
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    head = _file_head()
    client = FindClient("127.0.0.1", service.dicom, TITLE)
    entries = client.find(by_accession("")).matches
    client.close()
    if len(entries) != size:
        raise Failed(f"{len(entries)} entries instead of {size}")
    for number, entry in enumerate(entries):
        (folder / f"{number}.wl").write_bytes(head + entry)


def _file_head() -> bytes:
    """Return preamble and file meta information (DICOM PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(FIND)
    meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    nothing = Dataset()
    nothing.file_meta = meta
    file = io.BytesIO()
    dcmwrite(file, nothing, enforce_file_format=True)
    return file.getvalue()
