"""The two guarded calls, as Lua and as bytes. They run on Redis 6.2 or later."""

from collections.abc import Mapping, Sequence
from hashlib import sha1

from millrace_common.online.resp import bulks, command

KEYS_PER_LOAD_MAX = 1_000
"""Of one script call: Lua cannot unpack more than about 7,000 arguments, and a long script keeps readers waiting."""

# KEYS: cursor record, values. ARGV: the record as this writer left it ('' for none). Answers nil where it differs.
LOAD = b"""
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return false end
return redis.call('MGET', unpack(KEYS, 2))
"""

# KEYS: cursor record, values. ARGV: the record as left, the record to leave, how long values live ('' for ever),
# values. Bytes 4-8 of a value name its set of groups, bytes 8-16 its source offset: within a set only newer offsets
# overwrite. Repeating a call changes nothing. All values of a call expire at one moment; the cursor record never does.
WRITE = b"""
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
local until_ms = false
if ARGV[3] ~= '' then
  local now = redis.call('TIME')
  until_ms = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3])
end
for i = 2, #KEYS do
  local new = ARGV[i + 2]
  local old = redis.call('GETRANGE', KEYS[i], 4, 15)
  if #old < 12 or string.sub(old, 1, 4) ~= string.sub(new, 5, 8)
     or struct.unpack('<i8', new, 9) > struct.unpack('<i8', old, 5) then
    if until_ms then
      redis.call('SET', KEYS[i], new, 'PXAT', until_ms)
    else
      redis.call('SET', KEYS[i], new)
    end
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


def loading(script: bytes) -> bytes:
    """Return the command that makes a node know a script."""
    return command(b"SCRIPT", b"LOAD", script)


def load_call(cursor_key: bytes, keys: Sequence[str], left: bytes) -> bytes:
    """Return the bytes of one guarded load."""
    head = b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % (len(keys) + 5, _LOAD_SHA)
    words = bulks((b"%d" % (len(keys) + 1), cursor_key, *map(str.encode, keys), left))
    return b"".join((head, *words))


def write_call(cursor_key: bytes, values: Mapping[str, bytes], before_after: tuple[bytes, bytes], ttl: bytes) -> bytes:
    """Return the bytes of one guarded write."""
    head = b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % (2 * len(values) + 7, _WRITE_SHA)
    words = bulks((b"%d" % (len(values) + 1), cursor_key, *map(str.encode, values), *before_after, ttl))
    return b"".join((head, *words, *bulks(values.values())))


def _sha(script: bytes) -> bytes:
    return sha1(script, usedforsecurity=False).hexdigest().encode()


_LOAD_SHA, _WRITE_SHA = _sha(LOAD), _sha(WRITE)
