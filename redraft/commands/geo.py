"""The commands on places: a sorted set whose scores are cells of the earth (`redraft.commands.geohash`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from redraft.commands import arguments
from redraft.commands.context import Context
from redraft.commands.geohash import (
    LATITUDE_MAX,
    LONGITUDE_MAX,
    Shape,
    cell_of,
    cells_around,
    distance,
    place_of,
    text_of,
)
from redraft.commands.reply import NIL, SYNTAX, CommandError, array, bulk, integer
from redraft.commands.scores import score as parsed_number
from redraft.commands.scores import sortable
from redraft.commands.sortedset import BY_SCORE, SortedSet, find, member_of, score_of, store
from redraft.commands.sortedsets import add, parse_adding

_UNITS: Final = {b"m": 1.0, b"km": 1000.0, b"ft": 0.3048, b"mi": 1609.34}
_BAD_UNIT: Final = b"ERR unsupported unit provided. please use M, KM, FT, MI"
_NO_MEMBER: Final = b"ERR could not decode requested zset member"


@dataclass
class Search:
    """What is asked for; `unit` is in metres."""

    longitude: float | None = None
    latitude: float = 0.0
    member: bytes | None = None
    radius: float | None = None
    box: tuple[float, float] | None = None
    unit: float = 1.0
    count: int = 0
    any: bool = False
    order: int = 0
    """1 the nearest first, -1 the farthest, 0 as they are found."""
    with_distance: bool = False
    with_hash: bool = False
    with_place: bool = False
    store: bytes | None = None
    store_distance: bool = False

    @property
    def shows(self) -> bool:
        """Whether more than names is wanted."""
        return self.with_distance or self.with_hash or self.with_place

    @property
    def sorts(self) -> int:
        """The order in which they are given: the nearest ones are wanted where only some are."""
        return self.order or (1 if self.count and not self.any else 0)


class Found:
    """A member that was found: its distance in metres, and its score."""

    __slots__ = ("distance", "name", "score")

    def __init__(self, name: bytes, score: int, metres: float) -> None:
        self.name = name
        self.score = score
        self.distance = metres


# ---- numbers ----


def _unit(text: bytes) -> float:
    unit = _UNITS.get(text.lower())
    if unit is None:
        raise CommandError(_BAD_UNIT)
    return unit


def _number(text: bytes, otherwise: bytes) -> float:
    return parsed_number(text, otherwise)


def _place(longitude: bytes, latitude: bytes) -> tuple[float, float]:
    x, y = parsed_number(longitude), parsed_number(latitude)
    if not (abs(x) <= LONGITUDE_MAX and abs(y) <= LATITUDE_MAX):
        raise CommandError(b"ERR invalid longitude,latitude pair %f,%f" % (x, y))
    return x, y


def _four_digits(number: float) -> bytes:
    return bulk(b"%.4f" % number)


# ---- single places ----


def geoadd(ctx: Context, args: list[bytes]) -> bytes:
    """GEOADD key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]."""
    adding, at = parse_adding(args, 2)
    places = args[at:]
    others = adding.greater or adding.less or adding.increment
    if len(places) % 3 or others or (adding.absent and adding.present):
        raise CommandError(SYNTAX)
    scored = [
        (float(cell_of(*_place(places[i], places[i + 1])).bits), places[i + 2])
        for i in range(0, len(places), 3)
    ]
    added, changed, _last = add(ctx, args[1], adding, scored)
    return integer(added + changed if adding.changed else added)


def geodist(ctx: Context, args: list[bytes]) -> bytes:
    """GEODIST key member1 member2 [M|KM|FT|MI]."""
    if len(args) > 5:
        raise CommandError(SYNTAX)
    unit = _unit(args[4]) if len(args) == 5 else 1.0
    found = find(ctx, args[1])
    one, other = found.scores(args[2:4]) if found is not None else (None, None)
    if one is None or other is None:
        return NIL[ctx.proto]
    return _four_digits(distance(*place_of(int(one)), *place_of(int(other))) / unit)


def _scores(ctx: Context, args: list[bytes]) -> list[float | None]:
    found = find(ctx, args[1])
    return found.scores(args[2:]) if found is not None else [None] * (len(args) - 2)


def geohash(ctx: Context, args: list[bytes]) -> bytes:
    """GEOHASH key [member [member ...]]."""
    nil = NIL[ctx.proto]
    return array([bulk(text_of(int(score))) if score is not None else nil for score in _scores(ctx, args)])


def geopos(ctx: Context, args: list[bytes]) -> bytes:
    """GEOPOS key [member [member ...]]."""
    nil = b"*-1\r\n" if ctx.proto == 2 else NIL[3]
    return array([_pair(ctx, int(score)) if score is not None else nil for score in _scores(ctx, args)])


def _pair(ctx: Context, score: int) -> bytes:
    texts = [(b"%.17f" % number).rstrip(b"0").rstrip(b".") for number in place_of(score)]
    return array([bulk(text) if ctx.proto == 2 else b",%b\r\n" % text for text in texts])


# ---- searching ----


def _look(found: SortedSet | None, search: Search) -> list[Found]:
    """Return what lies in the shape, in the order in which the cells are looked into."""
    if found is None or search.longitude is None:
        return []
    width, height = search.box or (0.0, 0.0)
    unit = search.unit
    shape = Shape(
        search.longitude, search.latitude, (search.radius or 0.0) * unit, width * unit, height * unit
    )
    taken: list[Found] = []
    for cell in cells_around(shape):
        low, high = cell.scores
        ends = BY_SCORE + sortable(float(low)), BY_SCORE + sortable(float(high))
        for row in found.members.range(*ends):
            score = int(score_of(row))
            metres = shape.distance(*place_of(score))
            if metres is not None:
                taken.append(Found(member_of(row), score, metres))
                if search.any and len(taken) == search.count:
                    return taken
    if search.sorts:
        taken.sort(key=lambda each: each.distance, reverse=search.sorts < 0)
    return taken[: search.count] if search.count else taken


def _show(ctx: Context, search: Search, taken: list[Found]) -> bytes:
    if not search.shows:
        return array([bulk(each.name) for each in taken])
    rows = []
    for each in taken:
        row = [bulk(each.name)]
        if search.with_distance:
            row.append(_four_digits(each.distance / search.unit))
        if search.with_hash:
            row.append(integer(each.score))
        if search.with_place:
            row.append(_pair(ctx, each.score))
        rows.append(array(row))
    return array(rows)


def _answer(ctx: Context, key: bytes, search: Search) -> bytes:
    """Look, and show or store what is found."""
    taken = _look(find(ctx, key), search)
    if search.store is None:
        return _show(ctx, search, taken)
    elements = [
        (each.name, each.distance / search.unit if search.store_distance else float(each.score))
        for each in taken
    ]
    return integer(store(ctx, search.store, elements))


class _Words:
    """The words of a request, taken one by one."""

    def __init__(self, words: list[bytes]) -> None:
        self._words = words
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._words)

    def take(self) -> bytes:
        """Return the next word; raises CommandError behind the last one."""
        if not self:
            raise CommandError(SYNTAX)
        self._at += 1
        return self._words[self._at - 1]


def _radius(search: Search, radius: bytes, unit: bytes) -> None:
    search.radius = _number(radius, b"ERR need numeric radius")
    if search.radius < 0:
        raise CommandError(b"ERR radius cannot be negative")
    search.unit = _unit(unit)


def _box(search: Search, width: bytes, height: bytes, unit: bytes) -> None:
    search.box = _number(width, b"ERR need numeric width"), _number(height, b"ERR need numeric height")
    if min(search.box) < 0:
        raise CommandError(b"ERR height or width cannot be negative")
    search.unit = _unit(unit)


def _common(search: Search, option: bytes, words: _Words) -> bool:
    """Take an option that all searches have; False when it is none."""
    if option == b"withdist":
        search.with_distance = True
    elif option == b"withhash":
        search.with_hash = True
    elif option == b"withcoord":
        search.with_place = True
    elif option == b"any":
        search.any = True
    elif option in {b"asc", b"desc"}:
        search.order = 1 if option == b"asc" else -1
    elif option == b"count":
        search.count = arguments.integer(words.take())
        if search.count <= 0:
            raise CommandError(b"ERR COUNT must be > 0")
    else:
        return False
    return True


def _from_member(search: Search, found: SortedSet | None, member: bytes) -> None:
    search.member = member
    if found is not None:
        score = found.score(member)
        if score is None:
            raise CommandError(_NO_MEMBER)
        search.longitude, search.latitude = place_of(int(score))


def _shape_option(search: Search, found: SortedSet | None, option: bytes, words: _Words) -> bool:
    """Take an option that says where GEOSEARCH looks; False when it is none, or there was one already."""
    placed = search.member is not None or search.longitude is not None
    shaped = search.radius is not None or search.box is not None
    if option == b"fromlonlat" and not placed:
        search.longitude, search.latitude = _place(words.take(), words.take())
    elif option == b"frommember" and not placed:
        _from_member(search, found, words.take())
    elif option == b"byradius" and not shaped:
        _radius(search, words.take(), words.take())
    elif option == b"bybox" and not shaped:
        _box(search, words.take(), words.take(), words.take())
    else:
        return False
    return True


def _search(found: SortedSet | None, args: list[bytes], name: bytes, store: bytes | None = None) -> Search:
    search = Search(store=store)
    words = _Words(args)
    while words:
        option = words.take().lower()
        if store is not None and option == b"storedist":
            search.store_distance = True
        elif not (_shape_option(search, found, option, words) or _common(search, option, words)):
            raise CommandError(SYNTAX)
    if store is not None and search.shows:
        raise CommandError(b"ERR %b is not compatible with WITHDIST, WITHHASH and WITHCOORD options" % name)
    if search.member is None and search.longitude is None:
        raise CommandError(b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %b" % name)
    if search.radius is None and search.box is None:
        raise CommandError(b"ERR exactly one of BYRADIUS and BYBOX can be specified for %b" % name)
    _check_any(search)
    return search


def _check_any(search: Search) -> None:
    if search.any and not search.count:
        raise CommandError(b"ERR the ANY argument requires COUNT argument")


def geosearch(ctx: Context, args: list[bytes]) -> bytes:
    """GEOSEARCH key FROMMEMBER member|FROMLONLAT longitude latitude BYRADIUS ...|BYBOX ... [options]."""
    return _answer(ctx, args[1], _search(find(ctx, args[1]), args[2:], b"GEOSEARCH"))


def geosearchstore(ctx: Context, args: list[bytes]) -> bytes:
    """GEOSEARCHSTORE destination source ... [STOREDIST]."""
    return _answer(ctx, args[2], _search(find(ctx, args[2]), args[3:], b"GEOSEARCHSTORE", args[1]))


def _georadius(ctx: Context, key: bytes, search: Search, options: list[bytes], *, may_store: bool) -> bytes:
    words = _Words(options)
    while words:
        option = words.take().lower()
        if may_store and option in {b"store", b"storedist"}:
            search.store, search.store_distance = words.take(), option == b"storedist"
        elif not _common(search, option, words):
            raise CommandError(SYNTAX)
    if search.store is not None and search.shows:
        raise CommandError(
            b"ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        )
    _check_any(search)
    return _answer(ctx, key, search)


def _georadius_at(ctx: Context, args: list[bytes], *, may_store: bool) -> bytes:
    find(ctx, args[1])
    search = Search()
    search.longitude, search.latitude = _place(args[2], args[3])
    _radius(search, args[4], args[5])
    return _georadius(ctx, args[1], search, args[6:], may_store=may_store)


def _georadius_by_member(ctx: Context, args: list[bytes], *, may_store: bool) -> bytes:
    search = Search()
    _from_member(search, find(ctx, args[1]), args[2])
    _radius(search, args[3], args[4])
    return _georadius(ctx, args[1], search, args[5:], may_store=may_store)


def georadius(ctx: Context, args: list[bytes]) -> bytes:
    """GEORADIUS key longitude latitude radius unit [options] [STORE key|STOREDIST key]."""
    return _georadius_at(ctx, args, may_store=True)


def georadius_ro(ctx: Context, args: list[bytes]) -> bytes:
    """GEORADIUS_RO key longitude latitude radius unit [options]."""
    return _georadius_at(ctx, args, may_store=False)


def georadiusbymember(ctx: Context, args: list[bytes]) -> bytes:
    """GEORADIUSBYMEMBER key member radius unit [options] [STORE key|STOREDIST key]."""
    return _georadius_by_member(ctx, args, may_store=True)


def georadiusbymember_ro(ctx: Context, args: list[bytes]) -> bytes:
    """GEORADIUSBYMEMBER_RO key member radius unit [options]."""
    return _georadius_by_member(ctx, args, may_store=False)
