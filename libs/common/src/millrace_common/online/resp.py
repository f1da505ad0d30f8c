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
        self._rest = b""
        self._begun: list[tuple[list[Reply], int]] = []
        """Arrays that lack replies, the outermost first: what they have, and how many they will have."""

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that `data` makes whole. Raises ValueError where it is not RESP2."""
        data = self._rest + data if self._rest else data
        whole: list[Reply] = []
        held, wanted = self._innermost(whole)
        at, length, find = 0, len(data), data.find
        while (end := find(CRLF, at)) >= 0:
            kind, head, after = data[at], data[at + 1 : end], end + 2
            if kind == _BULK:
                size = int(head)
                after = after if size < 0 else after + size + 2
                if after > length:
                    break
                held.append(None if size < 0 else data[end + 2 : after - 2])
            elif kind == _ARRAY and int(head) > 0:
                held, wanted = [], int(head)
                self._begun.append((held, wanted))
            else:
                held.append(_simple(kind, head))
            at = after
            while len(held) == wanted:
                done, _ = self._begun.pop()
                held, wanted = self._innermost(whole)
                held.append(done)
        self._rest = data[at:]
        return whole

    def _innermost(self, whole: list[Reply]) -> tuple[list[Reply], int]:
        """Return what takes the next reply, and how many it takes; the whole ones are never enough."""
        return self._begun[-1] if self._begun else (whole, -1)


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
