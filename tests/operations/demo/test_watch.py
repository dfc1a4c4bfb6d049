from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from vitalbridge.operations.demo.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORT = {
    "status": "degraded",
    "components": {
        "hl7_listener": {"status": "up", "details": {}},
        "pacs_connection": {"status": "down", "details": {}},
    },
}
METRICS = """\
# HELP queue_depth waiting
queue_depth{destination="in"} 3.0
queue_depth{destination="ris"} 4
queue_depth_limit 50000
"""


@contextmanager
def service(status: int, report: str, metrics: str) -> Iterator[Watch]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 200)
            self.end_headers()
            self.wfile.write((report if self.path == "/health" else metrics).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield Watch(f"{url}/health", f"{url}/metrics")
        finally:
            server.shutdown()
            thread.join()


def test_what_a_service_says() -> None:
    with service(200, json.dumps(REPORT), METRICS) as watch:
        watch.ask()
    assert watch.status == "degraded"
    assert watch.problems == ("pacs_connection down",)
    assert watch.queue_depth == 7.0


def test_unhealthy_is_an_answer() -> None:
    with service(503, '{"status": "unhealthy", "components": {}}', "") as watch:
        watch.ask()
    assert (watch.status, watch.problems, watch.queue_depth) == ("unhealthy", (), None)


def test_no_service_and_no_report() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    watch = Watch(f"{url}/health", f"{url}/metrics")
    watch.ask()
    assert watch.status == "no answer"
    with service(200, "<html>", "") as other:
        other.ask()
    assert other.status == "no answer"
    with service(404, "", "") as other:
        other.ask()
    assert other.status == "no answer"
