"""A stand-in for the PACS: it answers C-ECHO (DICOM PS3.4 A), so that the bridge finds one."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynetdicom.events import Event


@contextmanager
def answering_pacs(port: int, ae_title: str = "PACS_SCP", host: str = "127.0.0.1") -> Iterator[int]:
    """Answer C-ECHO on ``host:port`` while inside; gives the port (0 asks for a free one).

    Raises OSError when the port is taken.
    """
    entity = AE(ae_title=ae_title)
    entity.add_supported_context(Verification)
    server = entity.start_server(
        (host, port), block=False, evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once)]
    )
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def send_at_once(event: Event) -> None:
    """Switch Nagle's algorithm off: DIMSE is request and answer, so it only adds 40 ms to each."""
    dul = event.assoc.dul
    if dul.socket is not None and dul.socket.socket is not None:
        dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
