"""The commands on strings, but for LCS and the arithmetic of fractions."""

from __future__ import annotations

from typing import Final, NamedTuple

from redraft.base.limits import VALUE_BYTES_MAX
from redraft.commands import arguments, longdouble
from redraft.commands.arguments import INT64_MAX, INT64_MIN
from redraft.commands.context import Context
from redraft.commands.reply import (
    EMPTY_BULK,
    NIL,
    NOT_FLOAT,
    OK,
    ONE,
    SYNTAX,
    TOO_LONG,
    WRONG_TYPE,
    ZERO,
    CommandError,
    array,
    bulk,
    integer,
    invalid_expire_time,
    wrong_arity,
)
from redraft.engine.record import (
    BODY_AT,
    EXPIRING,
    STRING,
    STRINGS,
    body_of,
    computed_body,
    edited_body,
    expiring,
    integer_body,
    payload,
    payload_view,
    string_body,
    with_body_of,
)

_OVERFLOW: Final = b"ERR increment or decrement would overflow"


def find_string(ctx: Context, key: bytes) -> tuple[bytes, bytes] | None:
    """Return (record, payload) of a string, None without the key; raises CommandError for other types."""
    record = ctx.keyspace.find(ctx.slot_of(key), key)
    if record is None:
        return None
    body = body_of(record)
    if body[0] not in STRINGS:
        raise CommandError(WRONG_TYPE)
    return record, payload(body)


def find_view(ctx: Context, key: bytes) -> tuple[bytes, memoryview] | None:
    """Do what `find_string` does, without a copy of the payload: for strings that are large."""
    record = ctx.keyspace.find(ctx.slot_of(key), key)
    if record is None:
        return None
    if record[BODY_AT if record[0] == EXPIRING else 0] not in STRINGS:
        raise CommandError(WRONG_TYPE)
    return record, payload_view(record)


def get(ctx: Context, args: list[bytes]) -> bytes:
    """GET key."""
    found = find_string(ctx, args[1])
    return bulk(found[1]) if found is not None else NIL[ctx.proto]


class _Options(NamedTuple):
    """The options of SET and GETEX; `deadline` is (unit and base, argument) of an expiry."""

    when_missing: bool = False
    when_present: bool = False
    get: bool = False
    keep: bool = False
    persist: bool = False
    deadline: tuple[bytes, bytes] | None = None


_EXPIRY: Final = frozenset((b"ex", b"px", b"exat", b"pxat"))


def _options(words: list[bytes], *, setting: bool) -> _Options:
    """Read the options of SET (`setting`) or of GETEX; contradictions are syntax errors."""
    seen: set[bytes] = set()
    deadline = None
    rest = iter(words)
    for word in rest:
        option = word.lower()
        other = seen - {option}
        if option in _EXPIRY:
            argument = next(rest, None)
            if argument is None or other & _EXPIRY or other & {b"keepttl", b"persist"}:
                raise CommandError(SYNTAX)
            deadline = (option, argument)
        elif setting and option in {b"nx", b"xx"}:
            if other & {b"nx", b"xx"}:
                raise CommandError(SYNTAX)
        elif option == (b"keepttl" if setting else b"persist"):
            if other & _EXPIRY:
                raise CommandError(SYNTAX)
        elif not (setting and option == b"get"):
            raise CommandError(SYNTAX)
        seen.add(option)
    return _Options(
        b"nx" in seen, b"xx" in seen, b"get" in seen, b"keepttl" in seen, b"persist" in seen, deadline
    )


def _deadline_ms(ctx: Context, name: bytes, unit: bytes, argument: bytes) -> int:
    """Return the deadline that EX, PX, EXAT or PXAT asks for; raises CommandError for times that can't be."""
    time = arguments.integer(argument)
    if unit in {b"ex", b"exat"}:
        time *= 1000
    base_ms = ctx.now_ms if unit in {b"ex", b"px"} else 0
    if time <= 0 or time > INT64_MAX - base_ms:
        raise CommandError(invalid_expire_time(name))
    return time + base_ms


def set_(ctx: Context, args: list[bytes]) -> bytes:
    """SET key value [NX|XX] [GET] [EX|PX|EXAT|PXAT time|KEEPTTL]."""
    key, value = args[1], args[2]
    keyspace, slot = ctx.keyspace, ctx.slot_of(key)
    if len(args) == 5 and (unit := args[3].lower()) in _EXPIRY:  # the commonest form, at less cost
        keyspace.put(slot, key, expiring(string_body(value), _deadline_ms(ctx, b"set", unit, args[4])))
        return OK
    options = _options(args[3:], setting=True)
    body = string_body(value)
    record = (
        body if options.deadline is None else expiring(body, _deadline_ms(ctx, b"set", *options.deadline))
    )
    reply = get(ctx, args) if options.get else OK
    old = keyspace.find(slot, key)
    if (options.when_missing and old is not None) or (options.when_present and old is None):
        return reply if options.get else NIL[ctx.proto]
    if options.keep and old is not None:
        record = with_body_of(old, body)
    keyspace.put(slot, key, record)
    return reply


def setnx(ctx: Context, args: list[bytes]) -> bytes:
    """SETNX key value."""
    slot = ctx.slot_of(args[1])
    if ctx.keyspace.find(slot, args[1]) is not None:
        return ZERO
    ctx.keyspace.put(slot, args[1], string_body(args[2]))
    return ONE


def setex(ctx: Context, args: list[bytes]) -> bytes:
    """SETEX key seconds value."""
    deadline_ms = _deadline_ms(ctx, b"setex", b"ex", args[2])
    ctx.keyspace.put(ctx.slot_of(args[1]), args[1], expiring(string_body(args[3]), deadline_ms))
    return OK


def psetex(ctx: Context, args: list[bytes]) -> bytes:
    """PSETEX key milliseconds value."""
    deadline_ms = _deadline_ms(ctx, b"psetex", b"px", args[2])
    ctx.keyspace.put(ctx.slot_of(args[1]), args[1], expiring(string_body(args[3]), deadline_ms))
    return OK


def getset(ctx: Context, args: list[bytes]) -> bytes:
    """GETSET key value."""
    reply = get(ctx, args)
    ctx.keyspace.put(ctx.slot_of(args[1]), args[1], string_body(args[2]))
    return reply


def getdel(ctx: Context, args: list[bytes]) -> bytes:
    """GETDEL key."""
    reply = get(ctx, args)
    ctx.keyspace.remove(ctx.slot_of(args[1]), args[1])
    return reply


def getex(ctx: Context, args: list[bytes]) -> bytes:
    """GETEX key [EX|PX|EXAT|PXAT time|PERSIST]."""
    options = _options(args[2:], setting=False)
    found = find_string(ctx, args[1])
    if found is None:
        return NIL[ctx.proto]
    record, value = found
    slot = ctx.slot_of(args[1])
    if options.deadline is not None:
        deadline_ms = _deadline_ms(ctx, b"getex", *options.deadline)
        ctx.keyspace.put(slot, args[1], expiring(body_of(record), deadline_ms))
    elif options.persist and record is not body_of(record):
        ctx.keyspace.put(slot, args[1], body_of(record))
    return bulk(value)


def append(ctx: Context, args: list[bytes]) -> bytes:
    """APPEND key value."""
    slot = ctx.slot_of(args[1])
    found = find_string(ctx, args[1])
    if found is None:
        ctx.keyspace.put(slot, args[1], string_body(args[2]))
        return integer(len(args[2]))
    record, value = found
    if len(value) + len(args[2]) > VALUE_BYTES_MAX:
        raise CommandError(TOO_LONG)
    ctx.keyspace.put(slot, args[1], with_body_of(record, edited_body(value + args[2])))
    return integer(len(value) + len(args[2]))


def strlen(ctx: Context, args: list[bytes]) -> bytes:
    """STRLEN key."""
    found = find_string(ctx, args[1])
    return integer(len(found[1])) if found is not None else ZERO


def setrange(ctx: Context, args: list[bytes]) -> bytes:
    """SETRANGE key offset value."""
    offset, patch = arguments.integer(args[2]), args[3]
    if offset < 0:
        raise CommandError(b"ERR offset is out of range")
    found = find_string(ctx, args[1])
    record, value = found if found is not None else (b"$", b"")
    if not patch:
        return integer(len(value))
    if offset + len(patch) > VALUE_BYTES_MAX:
        raise CommandError(TOO_LONG)
    value = b"".join((value[:offset].ljust(offset, b"\0"), patch, value[offset + len(patch) :]))
    ctx.keyspace.put(ctx.slot_of(args[1]), args[1], with_body_of(record, edited_body(value)))
    return integer(len(value))


def getrange(ctx: Context, args: list[bytes]) -> bytes:
    """GETRANGE key start end, which is SUBSTR too."""
    start, end = arguments.integer(args[2]), arguments.integer(args[3])
    found = find_string(ctx, args[1])
    if found is None or (start < 0 and end < 0 and start > end):
        return EMPTY_BULK
    value = found[1]
    start = max(start + len(value), 0) if start < 0 else start
    end = max(end + len(value), 0) if end < 0 else end
    return bulk(value[start : end + 1])


def _add(ctx: Context, key: bytes, increment: int) -> bytes:
    """Add to the integer a string is; 0 when there is no key."""
    slot = ctx.slot_of(key)
    found = find_string(ctx, key)
    record, number = (found[0], arguments.integer(found[1])) if found is not None else (b":", 0)
    number += increment
    if not INT64_MIN <= number <= INT64_MAX:
        raise CommandError(_OVERFLOW)
    body = integer_body(number)
    ctx.keyspace.put(slot, key, with_body_of(record, body))
    return body


def incr(ctx: Context, args: list[bytes]) -> bytes:
    """INCR key."""
    return _add(ctx, args[1], 1)


def decr(ctx: Context, args: list[bytes]) -> bytes:
    """DECR key."""
    return _add(ctx, args[1], -1)


def incrby(ctx: Context, args: list[bytes]) -> bytes:
    """INCRBY key increment."""
    return _add(ctx, args[1], arguments.integer(args[2]))


def decrby(ctx: Context, args: list[bytes]) -> bytes:
    """DECRBY key decrement."""
    decrement = arguments.integer(args[2])
    if decrement == INT64_MIN:
        raise CommandError(b"ERR decrement would overflow")
    return _add(ctx, args[1], -decrement)


def incrbyfloat(ctx: Context, args: list[bytes]) -> bytes:
    """INCRBYFLOAT key increment."""
    found = find_string(ctx, args[1])
    record, value = found if found is not None else (b"$", b"0")
    number, increment = longdouble.parse(value), longdouble.parse(args[2])
    if number is None or increment is None:
        raise CommandError(NOT_FLOAT)
    total = longdouble.add(number, increment)
    if total is None:
        raise CommandError(b"ERR increment would produce NaN or Infinity")
    text = longdouble.spell(total)
    body = computed_body(text) if b"." not in text else string_body(text)
    ctx.keyspace.put(ctx.slot_of(args[1]), args[1], with_body_of(record, body))
    return bulk(text)


def mget(ctx: Context, args: list[bytes]) -> bytes:
    """MGET key [key ...]: nil for what is no string."""
    nil = NIL[ctx.proto]
    find = ctx.keyspace.find
    replies = []
    for slot, key in zip(ctx.slots_of(args[1:]), args[1:], strict=True):
        record = find(slot, key)
        body = body_of(record) if record is not None else b"\0"
        replies.append(body if body[0] == STRING else bulk(payload(body)) if body[0] in STRINGS else nil)
    return array(replies)


def mset(ctx: Context, args: list[bytes]) -> bytes:
    """MSET key value [key value ...]."""
    _put_pairs(ctx, args)
    return OK


def msetnx(ctx: Context, args: list[bytes]) -> bytes:
    """MSETNX key value [key value ...]."""
    if len(args) % 2 == 1 and any(ctx.keyspace.find(ctx.slot_of(key), key) is not None for key in args[1::2]):
        return ZERO
    _put_pairs(ctx, args)
    return ONE


def _put_pairs(ctx: Context, args: list[bytes]) -> None:
    if len(args) % 2 == 0:
        raise CommandError(wrong_arity(args[0].lower()))
    keys = args[1::2]
    ctx.keyspace.put_all(ctx.slots_of(keys), keys, map(string_body, args[2::2]))
