"""The HTTP APIs of the services, as the commands ask them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from millrace_cli.home import Home
from millrace_common.errors import Refused, Unavailable

READY_SECONDS_MAX = 1.0
ANSWER_SECONDS_MAX = 30.0
STREAM_SILENCE_SECONDS_MAX = 120.0
NO_TLS = False
"""The services speak plain HTTP: reading the machine's certificates for each call would cost more than the call."""


def is_ready(url: str) -> bool:
    """Say whether the service at `url` says that it is ready."""
    try:
        return httpx.get(f"{url}/ready", timeout=READY_SECONDS_MAX, verify=NO_TLS).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@dataclass(frozen=True, slots=True)
class Api:
    """The HTTP API of one service. Unavailable when it does not answer, Refused when it answers with an error."""

    service: str
    url: str
    seconds_max: float = ANSWER_SECONDS_MAX

    def get(self, path: str, parameters: Mapping[str, str | int] | None = None) -> Any:
        """Return the JSON answer to a GET."""
        with self._client() as client:
            return self._answer(client.build_request("GET", path, params=dict(parameters or {})), client)

    def post(self, path: str, body: object) -> Any:
        """Return the JSON answer to a POST of JSON."""
        with self._client() as client:
            return self._answer(client.build_request("POST", path, json=body), client)

    def send_file(self, path: str, data: bytes) -> Any:
        """Return the JSON answer to a POST of a file."""
        headers = {"Content-Type": "application/octet-stream"}
        with self._client() as client:
            return self._answer(client.build_request("POST", path, content=data, headers=headers), client)

    @contextmanager
    def stream(self, path: str, *, after: str | None = None) -> Iterator[Iterator[str]]:
        """Yield the lines of a stream of server-sent events, from after the event with the id `after`."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after is not None else {})}
        timeout = httpx.Timeout(ANSWER_SECONDS_MAX, read=STREAM_SILENCE_SECONDS_MAX)
        with (
            self._client() as client,
            self._reached(),
            client.stream("GET", path, headers=headers, timeout=timeout) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise self._refusal(answer)
            yield answer.iter_lines()

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=self.seconds_max)

    def _answer(self, request: httpx.Request, client: httpx.Client) -> Any:
        with self._reached():
            answer = client.send(request)
        if answer.is_error:
            raise self._refusal(answer)
        return answer.json()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise Unavailable(
                f"{self.service} does not answer at {self.url} ({error}); see `millrace status`"
            ) from error

    def _refusal(self, answer: httpx.Response) -> Refused:
        """Return what the service says is wrong, which stands in `error`."""
        try:
            text = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            text = answer.text or answer.reason_phrase
        return Refused(f"{self.service} {answer.status_code}", text)


def of(home: Home, service: str, *, seconds_max: float = ANSWER_SECONDS_MAX) -> Api:
    """Return a service's API as endpoints.json has it; Unavailable where the folder has never been up."""
    endpoints = home.endpoints()
    if endpoints is None:
        raise Unavailable(f"nothing was ever up on {home.folder}: start it with `millrace up`, or name it with --home")
    return Api(service, endpoints.services[service], seconds_max)
