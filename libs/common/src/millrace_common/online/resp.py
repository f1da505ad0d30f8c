"""Redis's protocol, as far as the store speaks it (RESP2): commands to bytes, bytes to replies.

Commands are written by hand because that is the hot path: a guarded write of 1,000 keys is one buffer and one pass over
its keys. Replies are cut by hiredis.
"""

from collections.abc import Iterable
from typing import Final

from hiredis import Reader

_NOT_WHOLE: Final = object()
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


def text_command(*words: str) -> bytes:
    """Return a command whose words are texts: as `command`, and quicker where all are ASCII, as keys mostly are.

    >>> text_command("GET", "k") == command(b"GET", b"k"), text_command("GET", "ü") == command(b"GET", "ü".encode())
    (True, True)
    """
    text = f"*{len(words)}\r\n" + "".join([f"${len(word)}\r\n{word}\r\n" for word in words])
    return text.encode() if text.isascii() else command(*map(str.encode, words))


class Replies:
    """Cuts what comes over a line into replies; what is not whole waits for more."""

    def __init__(self) -> None:
        self._reader = Reader(protocolError=ValueError, replyError=ReplyError, notEnoughData=_NOT_WHOLE)

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that `data` makes whole. Raises ValueError where it is not Redis's protocol."""
        self._reader.feed(data)
        whole: list[Reply] = []
        while (reply := self._reader.gets()) is not _NOT_WHOLE:
            whole.append(reply)
        return whole
