"""One connection to one Redis server, shared by all who ask at once: replies come in the order of the questions."""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from redis.connection import parse_url

from millrace_common.errors import Misconfigured
from millrace_common.online.resp import Replies, Reply, ReplyError, command

WAITING_MAX = 4_096
_SCHEMES = ("redis", "rediss")


class Lost(Exception):
    """A server cannot be reached, gave no answer in time, or the line to it broke."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL says: a server, or any node of a cluster."""

    address: Address
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str) -> "Target":
        """Return what `redis://` or `rediss://user:password@host:port/database?ssl_ca_certs=...` names."""
        if urlsplit(url).scheme not in _SCHEMES:
            raise Misconfigured("REDIS_URL must begin with redis:// or rediss://")
        try:
            said = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py annotates its classes, not this
        except ValueError as error:
            raise Misconfigured(f"REDIS_URL: {error}") from error
        tls = _tls(said) if urlsplit(url).scheme == "rediss" else None
        address = Address(said.get("host", "localhost"), said.get("port", 6379))
        return cls(address, said.get("db", 0), said.get("username"), said.get("password"), tls)

    def greeting(self, *, in_cluster: bool) -> list[bytes]:
        """Return the commands that a new line begins with."""
        words = []
        if self.password is not None:
            user = [] if self.username is None else [self.username.encode()]
            words.append(command(b"AUTH", *user, self.password.encode()))
        if self.database and not in_cluster:
            words.append(command(b"SELECT", b"%d" % self.database))
        return words


def _tls(said: "dict[str, str]") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=said.get("ssl_ca_certs"), capath=said.get("ssl_ca_path"))
    if said.get("ssl_certfile"):
        context.load_cert_chain(said["ssl_certfile"], said.get("ssl_keyfile"), said.get("ssl_password"))
    if said.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Question(NamedTuple):
    """Commands that were sent together; their replies are handed over together."""

    answer: "asyncio.Future[list[Reply]]"
    wanted: int
    asked_at: float


class Line(asyncio.Protocol):
    """A connection. It is closed where an answer is overdue: what came after it would be taken for its answer."""

    def __init__(self, address: Address, seconds_max: float) -> None:
        self.address = address
        self._seconds_max = seconds_max
        self._loop = asyncio.get_running_loop()
        self._replies = Replies()
        self._questions: deque[_Question] = deque()
        self._answered: list[Reply] = []
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, target: Target, address: Address, *, seconds_max: float, in_cluster: bool) -> "Line":
        """Connect and log in. Raises Lost, and ReplyError where the server refuses the login or the database."""
        loop = asyncio.get_running_loop()
        name = address.host if target.tls else None
        try:
            async with asyncio.timeout(seconds_max):
                _, line = await loop.create_connection(
                    lambda: cls(address, seconds_max), *address, ssl=target.tls, server_hostname=name
                )
        except TimeoutError as error:
            raise Lost(f"{address} did not take a connection in {seconds_max:g} s") from error
        except OSError as error:
            raise Lost(f"{address} cannot be reached: {error}") from error
        greeting = target.greeting(in_cluster=in_cluster)
        for reply in await line.ask(greeting) if greeting else ():
            if isinstance(reply, ReplyError):
                line.close("the login was refused")
                raise reply
        return line

    @property
    def is_open(self) -> bool:
        """Say whether it can be asked."""
        return self._transport is not None

    def ask(self, commands: Sequence[bytes]) -> "asyncio.Future[list[Reply]]":
        """Send commands in one flush; their replies come, or Lost. An answer that nobody waits for is dropped.

        Raises Lost where it cannot be asked.
        """
        if self._transport is None or len(self._questions) >= WAITING_MAX:
            raise Lost(f"{self.address} is gone" if self._transport is None else f"{self.address} is overloaded")
        question = _Question(self._loop.create_future(), len(commands), self._loop.time())
        self._questions.append(question)
        if self._alarm is None:
            self._alarm = self._loop.call_at(question.asked_at + self._seconds_max, self._look)
        self._transport.write(commands[0] if len(commands) == 1 else b"".join(commands))
        return question.answer

    def _look(self) -> None:
        """Close it where the oldest answer is overdue, else look again when it would be: one timer serves all."""
        self._alarm = None
        if not self._questions:
            return
        due_at = self._questions[0].asked_at + self._seconds_max
        if self._loop.time() >= due_at:
            self.close(f"{self.address} gave no answer in {self._seconds_max:g} s")
        else:
            self._alarm = self._loop.call_at(due_at, self._look)

    def close(self, why: str = "it was closed") -> None:
        """Close it; whoever still waits gets Lost."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._questions:
            question = self._questions.popleft()
            if not question.answer.done():
                question.answer.set_exception(Lost(why))
                question.answer.exception()  # whoever asked may be gone; then nobody else looks at it

    # --- asyncio.Protocol --------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Hand replies over to those who asked, in order."""
        try:
            self._answered += self._replies.feed(data)
        except ValueError as error:
            self.close(f"{self.address} does not speak Redis's protocol: {error}")
        while self._questions and len(self._answered) >= self._questions[0].wanted:
            answer, wanted, _ = self._questions.popleft()
            replies, self._answered = self._answered[:wanted], self._answered[wanted:]
            if not answer.done():
                answer.set_result(replies)
        if self._answered and not self._questions:
            self.close(f"{self.address} does not speak Redis's protocol: it answers what nobody asked")

    def connection_lost(self, exc: Exception | None) -> None:
        """Let everybody know."""
        self.close(f"{self.address} closed the connection" + (f": {exc}" if exc else ""))
