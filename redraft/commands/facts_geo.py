"""The table's rows for places on the earth."""

from __future__ import annotations

from functools import partial

from redraft.commands import geo
from redraft.commands.command import Command, row
from redraft.commands.keyspec import KeySpec, behind, single

_geo = partial(row, group="geo")
_ONE = (1, 1, 1)
_FROM = "<FROMMEMBER member|FROMLONLAT longitude latitude>"
_UNIT = "<M|KM|FT|MI>"
_BY = f"<BYRADIUS radius {_UNIT}|BYBOX width height {_UNIT}>"
_SOME = "[ASC|DESC] [COUNT count [ANY]]"
_WITH = "[WITHCOORD] [WITHDIST] [WITHHASH]"
_BY_AREA = "O(N+log(M)), N being the members in the cells around, M those in the shape"
_STORED = "[STORE key|STOREDIST key]"


def _stores(start: int) -> tuple[KeySpec, ...]:
    """The keys of the old searches, which may have a word behind which a key stands."""
    return (
        single(1, "RO access"),
        behind(b"STORE", "OW update", start=start, share=0),
        behind(b"STOREDIST", "OW update", start=start, share=0),
    )


GEO: tuple[Command, ...] = (
    _geo(
        "geoadd", -5, "write denyoom", _ONE, "RW update",
        since="3.2.0", summary="Put places into a sorted set",
        usage="key [NX|XX] [CH] <longitude latitude member> [longitude latitude member ...]",
        complexity="O(log(N)) for each place", handler=geo.geoadd,
    ),
    _geo(
        "geodist", -4, "readonly", _ONE, "RO access",
        since="3.2.0", summary="The distance between two places", usage="key member1 member2 [M|KM|FT|MI]",
        handler=geo.geodist,
    ),
    _geo(
        "geohash", -2, "readonly", _ONE, "RO access",
        since="3.2.0", summary="Places as standard geohashes", usage="key [member [member ...]]",
        complexity="O(N), N being the number of members given", handler=geo.geohash,
    ),
    _geo(
        "geopos", -2, "readonly", _ONE, "RO access",
        since="3.2.0", summary="The longitude and latitude of places", usage="key [member [member ...]]",
        complexity="O(N), N being the number of members given", handler=geo.geopos,
    ),
    _geo(
        "geosearch", -7, "readonly", _ONE, "RO access",
        since="6.2.0", summary="The places within a circle or a box",
        usage=f"key {_FROM} {_BY} {_SOME} {_WITH}", complexity=_BY_AREA, handler=geo.geosearch,
    ),
    _geo(
        "geosearchstore", -8, "write denyoom", (1, 2, 1), "OW update/RO access",
        since="6.2.0", summary="Store the places within a circle or a box",
        usage=f"destination source {_FROM} {_BY} {_SOME} [STOREDIST]", complexity=_BY_AREA,
        handler=geo.geosearchstore,
    ),
    _geo(
        "georadius", -6, "write denyoom movablekeys", _ONE, key_specs=_stores(6),
        since="3.2.0", summary="The places within a circle (the old form)",
        usage=f"key longitude latitude radius {_UNIT} {_WITH} [COUNT count [ANY]] [ASC|DESC] {_STORED}",
        complexity=_BY_AREA, handler=geo.georadius,
    ),
    _geo(
        "georadius_ro", -6, "readonly", _ONE, "RO access",
        since="3.2.10", summary="The places within a circle (the old form, which only reads)",
        usage=f"key longitude latitude radius {_UNIT} {_WITH} [COUNT count [ANY]] [ASC|DESC]",
        complexity=_BY_AREA, handler=geo.georadius_ro,
    ),
    _geo(
        "georadiusbymember", -5, "write denyoom movablekeys", _ONE, key_specs=_stores(5),
        since="3.2.0", summary="The places within a circle around a member (the old form)",
        usage=f"key member radius {_UNIT} {_WITH} [COUNT count [ANY]] [ASC|DESC] {_STORED}",
        complexity=_BY_AREA, handler=geo.georadiusbymember,
    ),
    _geo(
        "georadiusbymember_ro", -5, "readonly", _ONE, "RO access",
        since="3.2.10", summary="The places within a circle around a member (the old form, which only reads)",
        usage=f"key member radius {_UNIT} {_WITH} [COUNT count [ANY]] [ASC|DESC]",
        complexity=_BY_AREA, handler=geo.georadiusbymember_ro,
    ),
)  # fmt: skip
