"""The parts of the online store that need no Redis: its protocol, its records, what a reader makes of them."""

import asyncio
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.errors import Misconfigured
from millrace_common.online.line import Address, Line, Lost, Target
from millrace_common.online.nodes import Call, Nodes
from millrace_common.online.refusals import TRANSIENT, told
from millrace_common.online.resp import Replies, Reply, ReplyError, command
from millrace_common.online.scripts import LOAD, WRITE, in_full, load_call, write_call
from millrace_common.online.standing import Standings
from millrace_common.slots import Cursor, CursorRecord, Held, Slot, cursor_of, taken_over, ttl_ms

SLOT = Slot("raw-data", "card", 3, "0badcafe")
OTHER = Slot("raw-data", "card", 3, "22222222")
VALUE = struct.pack("<BBH4sq", 0xF5, 1, 0, bytes.fromhex(SLOT.set), 5)
REPLIES = st.recursive(
    st.none() | st.binary(max_size=40) | st.integers(-(1 << 63), (1 << 63) - 1),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


def sent(reply: Reply) -> bytes:
    """Return a reply as a server sends it."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    assert isinstance(reply, list)
    return b"*%d\r\n" % len(reply) + b"".join(map(sent, reply))


async def test_a_store_that_refuses_the_first_question_is_asked_again() -> None:
    """Whether it is a cluster is not concluded from an error: it would be taken for a single server for ever."""
    told = [b"-BUSY a script is running\r\n", b"$17\r\ncluster_enabled:1\r\n"]
    slots: Reply = [[0, 16_383, [b"127.0.0.1", 1]]]
    answering = list[asyncio.Task[None] | None]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.current_task())
        with suppress(ConnectionError):
            while asked := await reader.read(1_000):
                writer.write(told.pop(0) if b"INFO" in asked else sent(slots))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    nodes = Nodes(Target.of(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"), seconds_max=5.0)
    async with server:
        with pytest.raises(ReplyError, match="BUSY"):
            await nodes.ask([Call("fs:{card.0}", command(b"GET", b"k"))])
        with pytest.raises(Lost, match="cannot be reached"):
            await nodes.ask([Call("fs:{card.0}", command(b"GET", b"k"))])
        await nodes.close()
        await asyncio.gather(*filter(None, answering))
    assert told == []


# --- the protocol -----------------------------------------------------------------------------------------------------
@given(st.lists(REPLIES, max_size=5), st.integers(1, 30))
def test_replies_come_out_however_the_bytes_are_cut(replies: list[Reply], size: int) -> None:
    """A line hands over what has come; a reply may begin in one part and end in another."""
    data, parser, found = b"".join(map(sent, replies)), Replies(), list[Reply]()
    for at in range(0, len(data), size):
        found += parser.feed(data[at : at + size])
    assert found == replies


@pytest.mark.parametrize("data", [b"+OK\r\n", b"*0\r\n", b"*-1\r\n"])
def test_short_replies_are_read(data: bytes) -> None:
    """A status is its text, an empty array is one, a null array is nothing."""
    assert Replies().feed(data) == [{b"+OK\r\n": b"OK", b"*0\r\n": [], b"*-1\r\n": None}[data]]


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"$x\r\n", b"\x15\x03\r\n"])
def test_what_is_not_redis_is_told_apart(data: bytes) -> None:
    """Another server on that port is named, not waited for."""
    with pytest.raises(ValueError, match=r"Protocol error|Bad bulk"):
        Replies().feed(data)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("MOVED 866 127.0.0.1:7002", "MOVED"),
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("ERR Error running script (call to f_0a): @user_script:14: -OOM command not allowed", "OOM"),
        ("ERR Error running script (call to f_0a): @user_script:14: -READONLY You can't write", "READONLY"),
        ("ERR unknown command", "ERR"),
        ("", ""),
    ],
)
def test_an_error_has_the_code_of_what_failed_inside_a_script(text: str, code: str) -> None:
    """Redis 6 wraps the error of a command in the script's own."""
    [error] = Replies().feed(b"-" + text.encode() + b"\r\n")
    assert isinstance(error, ReplyError)
    assert error.code == code
    assert (code in TRANSIENT) == (code in ("MOVED", "OOM", "READONLY"))
    assert text in told(error)


def test_a_script_can_be_sent_in_full_in_place_of_its_hash() -> None:
    """A node that forgot a script gets the same call with its text."""
    write = write_call(b"c", {"v": VALUE, "ü": b""}, (b"", b"r"), b"")
    words = [b"EVAL", WRITE, b"3", b"c", b"v", "ü".encode(), b"", b"r", b"", VALUE, b""]
    assert in_full(write, WRITE) == command(*words)
    load = load_call(b"c", ["v"], b"r")
    assert in_full(load, LOAD) == command(b"EVAL", LOAD, b"2", b"c", b"v", b"r")


class Silent(asyncio.Transport):
    """A transport that takes everything; what was sent is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is sent."""
        self.sent.append(bytes(data))

    def abort(self) -> None:
        """Take note."""
        self.is_aborted = True


def silent_line(seconds_max: float) -> tuple[Line, Silent]:
    """Return a line to a server of which only the test says what it answers."""
    line, transport = Line(Address("h", 1), seconds_max), Silent()
    line.connection_made(transport)
    return line, transport


async def test_answers_go_to_who_asked_also_past_those_who_gave_up() -> None:
    """Replies come in the order of the questions, however the bytes are cut."""
    line, transport = silent_line(1.0)
    answers = [line.ask([b"1", b"2"]), line.ask([b"3"]), line.ask([b"4"])]
    answers[1].cancel()
    for data in (b":1\r\n:", b"2\r\n:3", b"\r\n:4\r\n"):
        line.data_received(data)
    assert (await answers[0], await answers[2], transport.sent) == ([1, 2], [4], [b"12", b"3", b"4"])
    line.close()


async def test_an_overdue_answer_ends_the_line_though_nobody_waits_for_it() -> None:
    """What came after it would be taken for its answer; a question that was answered in time ends nothing."""
    line, transport = silent_line(0.5)
    answered = line.ask([b"1"])
    line.data_received(b":1\r\n")
    await asyncio.sleep(0.3)
    line.ask([b"2"]).cancel()
    waiting = line.ask([b"3"])
    await asyncio.sleep(0.3)
    assert (await answered, line.is_open) == ([1], True)
    with pytest.raises(Lost, match=r"no answer in 0\.5 s"):
        await waiting
    assert (line.is_open, transport.is_aborted) == (False, True)
    with pytest.raises(Lost, match="is gone"):
        line.ask([b"4"])


async def test_an_answer_to_no_question_ends_the_line() -> None:
    """It cannot be told any more whose answers come."""
    line, _ = silent_line(1.0)
    line.data_received(b":1\r\n")
    assert not line.is_open


@pytest.mark.parametrize("url", ["http://h", "redis://h:port/0", "redis+sentinel://h", "h:6379"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """The setting is named."""
    with pytest.raises(Misconfigured, match="REDIS_URL"):
        Target.of(url)


def test_a_url_says_where_and_how() -> None:
    """Address, database, name and password, and TLS with its checks."""
    plain = Target.of("redis://:p%40ss@h:7000/3")
    assert (plain.address, plain.database, plain.password, plain.tls) == (Address("h", 7000), 3, "p@ss", None)
    assert plain.greeting(in_cluster=False) == [command(b"AUTH", b"p@ss"), command(b"SELECT", b"3")]
    assert plain.greeting(in_cluster=True) == [command(b"AUTH", b"p@ss")]
    assert "p@ss" not in repr(plain)
    tls = Target.of("rediss://u:p@h").tls
    assert tls is not None
    assert tls.check_hostname
    unchecked = Target.of("rediss://h?ssl_cert_reqs=none").tls
    assert unchecked is not None
    assert not unchecked.check_hostname


# --- cursor records ---------------------------------------------------------------------------------------------------
def record(offset: int, *, whole: int = 0, token: str = "t", slot: Slot = SLOT, partitions: int = 4) -> bytes:
    """Return a slot's record."""
    return CursorRecord.of(slot, Cursor(offset, {}), token, whole, partitions).encode()


@pytest.mark.parametrize(
    ("found", "committed", "left"),
    [
        (None, None, (0, 0)),
        (None, 9, (0, 9)),
        (record(6), 6, None),
        (record(6), 5, None),
        (record(6), None, None),
        (record(6), 9, (6, 9)),
        (record(6, whole=9), 9, None),
        (record(6, whole=9), 8, None),
        (record(6, whole=9), 12, (6, 12)),
        (record(6, whole=9), None, None),
        (record(12, whole=9), 12, None),
        (record(6, slot=OTHER), 6, (0, 6)),
        (record(6, slot=OTHER), None, (0, 0)),
        (record(6, partitions=0), 6, (6, 0)),
    ],
)
def test_what_is_left_when_a_slot_is_taken_over(
    found: bytes | None, committed: int | None, left: tuple[int, int] | None
) -> None:
    """Missing, of another set or behind the commit: not whole before that; else it stands as it is."""
    taken = taken_over(SLOT, found, committed, "new", 4)
    assert (None if taken is None else (taken.offset, taken.whole)) == left
    assert taken is None or (taken.token, taken.set, taken.partitions) == ("new", SLOT.set, 4)


def test_a_cursor_at_zero_is_none() -> None:
    """Nothing is applied yet: the log's start is where to begin, wherever that is by now."""
    assert cursor_of(SLOT, record(0)) is None
    assert cursor_of(SLOT, record(1)) == Cursor(1, {})
    assert cursor_of(OTHER, record(1)) is None


def test_state_is_kept_for_its_reach_and_a_week() -> None:
    """As raw-data is; without a bound, for ever."""
    assert ttl_ms(None) is None
    assert ttl_ms(1) == 7 * 86_400_000 + 1


# --- what a reader makes of them --------------------------------------------------------------------------------------
def judged(*records: bytes | None) -> list[bool]:
    """Return whether a reader trusts the slot, after each record that it reads."""
    standings, found = Standings(), []
    for each in records:
        (held,) = standings.see(SLOT.cursor_key, each).held([VALUE])
        found.append(held.whole)
    return found


def test_a_slot_is_whole_once_it_reaches_what_was_acknowledged() -> None:
    """From then on it stays so."""
    assert judged(record(3, whole=9), record(8, whole=9), record(9, whole=9), record(10, whole=9)) == [
        False,
        False,
        True,
        True,
    ]


def test_a_slot_without_a_record_holds_nothing() -> None:
    """It was flushed, or never filled."""
    assert judged(None, record(5), None, record(5)) == [False, True, False, True]


def test_a_slot_that_went_back_is_not_believed_until_its_writer_is_at_work() -> None:
    """While the older record stands, nobody writes; once it moves, whoever wrote it knows what was acknowledged."""
    older, newer = record(6, token="a"), record(9, token="b")
    assert judged(newer, older, older) == [True, False, False]
    assert judged(newer, older, newer) == [True, False, True]
    assert judged(newer, older, record(6, whole=9, token="c"), record(9, whole=9, token="d")) == [
        True,
        False,
        False,
        True,
    ]
    assert judged(newer, older, record(3, token="e"), record(3, token="e")) == [True, False, False, False]


def test_a_log_that_was_made_anew_is_believed_again() -> None:
    """A reader that lives longer than the topic does not hold the old offsets against the new ones for ever."""
    assert judged(record(900), None, record(0), record(4), record(5)) == [True, False, False, True, True]


def test_what_another_set_left_counts_as_never_written() -> None:
    """The writer would take it for that; while the slot is rebuilt it is still shown, as not whole."""
    standings = Standings()
    assert standings.see(SLOT.cursor_key, record(9, slot=OTHER)).held([VALUE, None]) == [Held(None, whole=True)] * 2
    assert standings.see(SLOT.cursor_key, record(3, slot=OTHER, whole=9)).held([VALUE]) == [Held(VALUE, whole=False)]
