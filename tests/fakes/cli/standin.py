"""A stand-in for a service: answers /ready and /status, and misbehaves as it is told to.

python standin.py PORT MODE, where MODE is ok, deaf (ignores SIGTERM), refuse (exit 78), breed (has a child of its own),
or never (runs, is never ready).
"""

import json
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answers(BaseHTTPRequestHandler):
    """The operational paths of a service."""

    ready = True

    def do_GET(self) -> None:
        """Answer /ready and /status."""
        place = {"topic": "raw-data", "partition": 0, "position": 3, "end": 10}
        body = json.dumps(
            {"deployment": "d1", "ready": True, "partitions": [place, {**place, "partition": 1}]}
        ).encode()
        self.send_response(200 if self.ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(port: int, mode: str) -> None:
    """Serve until a signal."""
    sys.stderr.write(f"standing in on {port} as {mode}\n")
    if mode == "refuse":
        sys.stderr.write("MILLRACE_PARTITIONS must be 1 or more\n")
        sys.exit(78)
    if mode == "breed":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else lambda *_: sys.exit(0))
    Answers.ready = mode != "never"
    with HTTPServer(("127.0.0.1", port), Answers) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
