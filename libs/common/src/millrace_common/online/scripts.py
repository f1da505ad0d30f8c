"""The two guarded calls, as Lua and as bytes. They run on Redis 6.2 or later."""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha1

from millrace_common.online.resp import bulks
from millrace_common.slots import ValueColumns

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
# A patch (first byte 0xD1) changes ranges of the value whose source offset its bytes 16-24 name, and of no other.
# Numbers go to commands as text, made once: Redis prints each that a script hands it with seventeen digits.
WRITE = b"""
local call, sub, byte, unpacked = redis.call, string.sub, string.byte, struct.unpack
local texts = {}
local function text(number)
  if not texts[number] then texts[number] = string.format('%d', number) end
  return texts[number]
end
local function patch(key, new)
  local at = 33
  for _ = 1, (unpacked('<i8', new, 25)) do
    local length, place = unpacked('<I4I4', new, at)
    call('SETRANGE', key, text(place), sub(new, at + 8, at + 7 + length))
    at = at + 8 + length
  end
end
local held = call('GET', KEYS[1]) or ''
if held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
local until_ms = false
if ARGV[3] ~= '' then
  local now = call('TIME')
  until_ms = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3])
end
for i = 2, #KEYS do
  local new = ARGV[i + 2]
  local old = call('GETRANGE', KEYS[i], '4', '15')
  if byte(new, 1) == 0xD1 then
    if old ~= sub(new, 5, 16) then
      if old ~= sub(new, 5, 8) .. sub(new, 17, 24) then return 0 end
      patch(KEYS[i], new)
      if until_ms then call('PEXPIREAT', KEYS[i], until_ms) end
    end
  elseif #old < 12 or sub(old, 1, 4) ~= sub(new, 5, 8) or unpacked('<i8', new, 9) > unpacked('<i8', old, 5) then
    if until_ms then
      call('SET', KEYS[i], new, 'PXAT', until_ms)
    else
      call('SET', KEYS[i], new)
    end
  end
end
call('SET', KEYS[1], ARGV[2])
return 1
"""


def load_call(cursor_key: bytes, keys: Sequence[str], left: bytes) -> bytes:
    """Return the bytes of one guarded load."""
    words = bulks((b"%d" % (len(keys) + 1), cursor_key, *map(str.encode, keys), left))
    return b"".join((b"*%d\r\n" % (len(words) + 2), _by_sha(LOAD), *words))


def write_call(cursor_key: bytes, values: Mapping[str, bytes], before_after: tuple[bytes, bytes], ttl: bytes) -> bytes:
    """Return the bytes of one guarded write."""
    keys, bodies = _words(values)
    n = len(values) + 1
    first, middle = bulks((b"%d" % n, cursor_key)), bulks((*before_after, ttl))
    return b"".join((b"*%d\r\n" % (2 * n + 5), _by_sha(WRITE), *first, keys, *middle, bodies))


def _words(values: Mapping[str, bytes]) -> tuple[bytes | memoryview, bytes | memoryview]:
    """Return keys and values as they stand in a call."""
    if isinstance(values, ValueColumns):
        return values.words()
    return b"".join(bulks(map(str.encode, values))), b"".join(bulks(values.values()))


def in_full(data: bytes, script: bytes) -> bytes:
    """Return a call with the script itself in it, for a node that does not know it; it does from then on."""
    return data.replace(_by_sha(script), b"".join(bulks((b"EVAL", script))), 1)


@cache
def _by_sha(script: bytes) -> bytes:
    sha = sha1(script, usedforsecurity=False).hexdigest()
    return b"".join(bulks((b"EVALSHA", sha.encode())))
