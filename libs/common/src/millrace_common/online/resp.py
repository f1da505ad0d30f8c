"""Redis's protocol, as far as the store speaks it (RESP2): commands to bytes, bytes to replies.

Written by hand because it is the hot path: a guarded write of 1,000 keys is one buffer and one pass over its keys.
"""

from collections.abc import Iterable

CRLF = b"\r\n"
_BULK, _ARRAY, _NUMBER, _ERROR = b"$*:-"
_IN_SCRIPT = "Error running script"


class ReplyError(Exception):
    """An error that Redis answered. `code` is its first word, or that of the command that failed inside a script."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        words = text.split()
        inner = [word[1:] for word in words if word.startswith("-") and word[1:].isupper()]
        self.code = inner[0] if _IN_SCRIPT in text and inner else (words[0] if words else "")
        self.words = words


Reply = bytes | int | None | ReplyError | list["Reply"]


def command(*words: bytes) -> bytes:
    """Return a command's bytes.

    >>> command(b"GET", b"k")
    b'*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\nk\\r\\n'
    """
    return b"".join([b"*%d\r\n" % len(words), *bulks(words)])


def bulks(words: Iterable[bytes]) -> list[bytes]:
    """Return each word with its length before it, as the arguments of a command stand."""
    return [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]


class Replies:
    """Cuts what comes over a line into replies; what is not whole waits for more."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun: list[tuple[int, list[Reply]]] = []

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that `data` makes whole. Raises ValueError where it is not RESP2."""
        if self._rest:
            data = self._rest + data
        whole: list[Reply] = []
        at = 0
        while (end := data.find(CRLF, at)) >= 0:
            kind, head = data[at], data[at + 1 : end]
            value: Reply
            after = end + 2
            if kind == _BULK:
                size = int(head)
                after = end + 2 if size < 0 else end + 4 + size
                if after > len(data):
                    break
                value = None if size < 0 else data[end + 2 : after - 2]
            elif kind == _ARRAY and int(head) > 0:
                self._begun.append((int(head), []))
                at = after
                continue
            else:
                value = _simple(kind, head)
            at = after
            self._place(value, whole)
        self._rest = data[at:]
        return whole

    def _place(self, value: Reply, whole: list[Reply]) -> None:
        """Put a reply where it belongs: into the innermost array that lacks one, or among the whole ones."""
        while self._begun:
            wanted, held = self._begun[-1]
            held.append(value)
            if len(held) < wanted:
                return
            self._begun.pop()
            value = held
        whole.append(value)


def _simple(kind: int, head: bytes) -> Reply:
    if kind == _NUMBER:
        return int(head)
    if kind == _ERROR:
        return ReplyError(head.decode(errors="replace"))
    if kind == _ARRAY:
        return [] if head == b"0" else None
    if kind == ord("+"):
        return head
    raise ValueError(f"not a reply of Redis: {bytes([kind])!r}")
