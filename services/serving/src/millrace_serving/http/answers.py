"""Answers by `Idempotency-Key`: the same question again gets the same answer, another one is refused."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from millrace_common import ids
from millrace_common.errors import Refused
from millrace_serving.http.wire import Response

CALLER = "anonymous"
KEY_CHARACTERS_MAX = 255
Answering = Callable[[str | None], Coroutine[None, None, Response]]
"""Called with the prediction id, None where it is the server's to make."""


@dataclass(slots=True)
class Answers:
    """The newest answers of this process, by key. A key that was forgotten gives the same prediction id again."""

    entries_max: int
    bytes_max: int
    held: OrderedDict[str, tuple[str, asyncio.Task[Response]]] = field(default_factory=OrderedDict)
    held_bytes: int = 0

    async def once(self, key: str, question: tuple[str, bytes], answering: Answering) -> Response:
        """Return the answer to a question (path, body) under a key; only a 200 is remembered."""
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            raise Refused("bad-value", f"1 to {KEY_CHARACTERS_MAX} characters", field="Idempotency-Key")
        path, body = question
        asked = ids.h(path, ids.sha256(body))
        prediction_id = ids.h(CALLER, key)
        if key not in self.held:
            task = asyncio.create_task(answering(prediction_id))
            self.held[key] = asked, task
            task.add_done_callback(lambda done: self._weigh(key, done))
        known, task = self.held[key]
        if known != asked:
            raise Refused("key-reused", "this key was sent with another question", field="Idempotency-Key")
        return await asyncio.shield(task)

    def _weigh(self, key: str, done: asyncio.Task[Response]) -> None:
        """Keep an answer and forget the oldest past the limits; what failed may be asked again."""
        if done.cancelled() or done.exception() is not None or done.result().status != 200:
            self.held.pop(key, None)
            return
        self.held_bytes += len(done.result().body)
        while len(self.held) > self.entries_max or self.held_bytes > self.bytes_max:
            oldest, (_, task) = next(iter(self.held.items()))
            if not task.done():
                break
            del self.held[oldest]
            self.held_bytes -= len(task.result().body)
