"""The six services' HTTP, canned: answers by method and path, and keeps what it was asked."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from millrace_cli.home import Endpoints, Home
from millrace_cli.ports import LOCALHOST, SERVICES


@dataclass(slots=True)
class Canned:
    """Answers by "METHOD /path": a status and JSON, or a status and raw text."""

    answers: Mapping[str, tuple[int, Any]]
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        """Return the JSON bodies that were sent."""
        return [json.loads(body) for _, body in self.asked if body]


@contextmanager
def answering(folder: Path, answers: Mapping[str, tuple[int, Any]]) -> Iterator[Canned]:
    """Let all six services of a home answer as canned."""
    canned = Canned(answers)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            canned.asked.append(
                (f"{method} {self.path}", self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            )
            status, content = canned.answers.get(f"{method} {self.path}", (404, {"error": f"no {self.path}"}))
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer((LOCALHOST, 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        endpoints_at(folder, server.server_address[1])
        try:
            yield canned
        finally:
            server.shutdown()
            thread.join()


def endpoints_at(folder: Path, port: int) -> None:
    """Write a home whose services are all at one port."""
    services = {name: f"http://{LOCALHOST}:{port}" for name in SERVICES}
    Home(folder).write(Endpoints(f"{LOCALHOST}:1", f"redis://{LOCALHOST}:1/0", services, {}, ()))
