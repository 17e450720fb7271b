"""Places on the earth against redis-server, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.oracle import Oracle, compare, generated, requests_of
from tests.commands.strategies import KEYS, joined, options, request, sequences, word

SICILY = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 13.5833 37.316667 Agrigento"
SCRIPTS: dict[str, str] = {
    "places": f"""
        {SICILY}|GEOADD g 13.361389 38.115556 Palermo|GEOADD g CH 13 38 Palermo|GEOADD g NX 1 1 Palermo
        GEOADD g XX CH 14 38 Palermo|GEOADD g XX 1 1 new|GEOADD g NX XX 1 1 m|GEOADD g|GEOADD g 1 2
        GEOADD g 1 2 m 3|GEOADD g 200 2 m|GEOADD g 2 86 m|GEOADD g a 2 m|GEOADD g 1 b m|GEOADD g FOO 1 2 m
        GEOADD g inf 2 m|GEOADD g nan 2 m|GEOADD g -180 -85.05112878 corner 180 85.05112878 other
        GEOPOS g corner other|GEOADD g 1 2 a 300 2 b|GEOPOS g Palermo none Catania|GEOPOS none a|GEOPOS g
        GEOHASH g Palermo none corner other|GEOHASH none a|GEOHASH g|GEODIST g Palermo Catania
        GEODIST g Palermo Catania km|GEODIST g Palermo Catania MI|GEODIST g Palermo Catania ft
        GEODIST g Palermo Catania parsec|GEODIST g Palermo none|GEODIST none a b|GEODIST g Palermo
        GEODIST g a b m x|GEODIST g Palermo Palermo|ZRANGE g 0 -1 WITHSCORES|TYPE g|GEOADD s0 GT 1 2 m
        GEOADD s0 INCR 1 2 m|SET s v|GEOADD s 1 2 m|GEOPOS s a|GEODIST s a b|GEOHASH s a
        GEOSEARCH s FROMLONLAT 1 2 BYRADIUS 1 m|GEORADIUS s 1 2 3 m|GEORADIUSBYMEMBER s a 3 m
        GEOSEARCHSTORE d s|GEOSEARCHSTORE d s FROMLONLAT 1 2 BYRADIUS 1 m|ZADD z 1 a|GEOPOS z a
        GEODIST z a a|OBJECT ENCODING g""",
    "searches": f"""
        {SICILY}|GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC|GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km
        GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHCOORD WITHDIST
        GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km WITHHASH WITHDIST WITHCOORD DESC COUNT 2
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 100 mi COUNT 1
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km COUNT 1 ANY
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 0 m|GEOSEARCH g FROMMEMBER none BYRADIUS 200 km
        GEOSEARCH none FROMMEMBER none BYRADIUS 200 km|GEOSEARCH g FROMMEMBER Palermo BYRADIUS -1 km
        GEOSEARCH g FROMMEMBER Palermo BYBOX -1 1 km|GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 foo
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS x km|GEOSEARCH g FROMMEMBER Palermo BYBOX x 1 km
        GEOSEARCH g FROMMEMBER Palermo BYBOX 1 x km|GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km COUNT 0
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km COUNT x
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km ANY
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km STOREDIST
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km FOO|GEOSEARCH g FROMLONLAT 200 37 BYRADIUS 200 km
        GEOSEARCH g FROMLONLAT x 37 BYRADIUS 200 km
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m BYBOX 1 1 m ASC
        GEOSEARCH g FROMMEMBER a FROMMEMBER b BYRADIUS 1 m|GEOSEARCH g FROMMEMBER P ASC DESC COUNT 1
        GEOSEARCH g BYRADIUS 1 m ASC DESC COUNT 1|GEOSEARCH g FROMLONLAT 15 37
        GEOSEARCH none FROMLONLAT 15 370 BYRADIUS 200 km
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 10000 km ASC DESC""",
    "stores": f"""
        {SICILY}|GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 200 km|ZRANGE d 0 -1 WITHSCORES
        GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 200 km STOREDIST|ZRANGE d 0 -1 WITHSCORES
        GEOSEARCHSTORE d g FROMMEMBER Palermo BYBOX 200 200 mi COUNT 1 STOREDIST|ZRANGE d 0 -1 WITHSCORES
        GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 200 km WITHDIST
        GEOSEARCHSTORE d g FROMMEMBER P ASC DESC COUNT 1
        GEOSEARCHSTORE g g FROMMEMBER Palermo BYRADIUS 0 m|ZRANGE g 0 -1
        GEOSEARCHSTORE d none FROMMEMBER a BYRADIUS 1 m|EXISTS d|{SICILY}
        GEORADIUS g 15 37 200 km WITHDIST DESC|GEORADIUS g 15 37 200 km STORE e|ZRANGE e 0 -1 WITHSCORES
        GEORADIUS g 15 37 200 km STOREDIST e ASC|ZRANGE e 0 -1 WITHSCORES
        GEORADIUS g 15 37 200 km STORE e WITHDIST|GEORADIUS g 15 37 200 km STORE
        GEORADIUS g 15 37 200 km COUNT|GEORADIUS_RO g 15 37 200 km STORE e
        GEORADIUS_RO g 15 37 200 km COUNT 1|GEORADIUSBYMEMBER g Palermo 200 km
        GEORADIUSBYMEMBER g none 200 km|GEORADIUSBYMEMBER none none 200 km
        GEORADIUSBYMEMBER_RO g Palermo 200 km COUNT 1 WITHHASH
        GEORADIUSBYMEMBER g Palermo 200 km STORE e COUNT 1|ZRANGE e 0 -1|GEORADIUS none 15 37 200 foo
        GEORADIUS none 15 370 200 km|GEORADIUS g 15 37 200 km FROMMEMBER x|GEORADIUS g 15 37 -1 km
        GEORADIUS g 15 37 x km|GEORADIUSBYMEMBER_RO g Palermo 200 km STORE e|GEORADIUS g 15 37""",
}
LONGITUDES = st.one_of(st.floats(-180, 179.99), st.sampled_from([0.0, 13.3, 179.999, -180.0, 181.0]))
LATITUDES = st.one_of(st.floats(-85, 85), st.sampled_from([0.0, 38.1, 84.9, -85.0, 66.5, 80.5, 86.0]))
NAMES = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
UNITS = st.sampled_from([b"m", b"km", b"ft", b"MI"])
SIZES = st.one_of(
    st.sampled_from([b"0", b"1", b"500", b"40000", b"1e7"]),
    st.floats(0, 30_000).map(lambda size: b"%f" % size),
    st.floats(0, 14).map(lambda power: b"%f" % 2**power),
)


def spelled(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[bytes]:
    """Numbers as arguments."""
    return numbers.map(lambda number: b"%.8f" % number)


LONG, LAT = spelled(LONGITUDES), spelled(LATITUDES)
FROM = st.one_of(request(b"FROMLONLAT", LONG, LAT), request(b"FROMMEMBER", NAMES))
BY = st.one_of(request(b"BYRADIUS", SIZES, UNITS), request(b"BYBOX", SIZES, SIZES, UNITS))
SHOWN = options(
    word(b"WITHCOORD", b"WITHDIST", b"WITHHASH", b"ASC", b"DESC"), request(b"COUNT", st.just(b"2"))
)
SEARCH = joined(joined(FROM, BY), SHOWN)
REQUESTS = st.one_of(
    request(b"GEOADD", KEYS, LONG, LAT, NAMES),
    request(b"GEOADD", KEYS, LONG, LAT, NAMES, LONG, LAT, NAMES),
    request(b"GEOPOS", KEYS, NAMES, NAMES),
    request(b"GEOHASH", KEYS, NAMES, NAMES),
    request(b"GEODIST", KEYS, NAMES, NAMES),
    request(b"GEODIST", KEYS, NAMES, NAMES, UNITS),
    joined(request(b"GEOSEARCH", KEYS), SEARCH),
    joined(request(b"GEOSEARCH", KEYS), SEARCH),
    joined(request(b"GEOSEARCHSTORE", KEYS, KEYS), joined(FROM, BY)),
    joined(request(b"GEORADIUS", KEYS, LONG, LAT, SIZES, UNITS), SHOWN),
    joined(request(b"GEORADIUSBYMEMBER", KEYS, NAMES, SIZES, UNITS), SHOWN),
    request(b"ZRANGE", KEYS, st.just(b"0"), st.just(b"-1"), st.just(b"WITHSCORES")),
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_geo_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_geo_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's, also around the poles and where the map ends."""
    compare(oracle, requests, proto)


EVERYWHERE = [
    [b"GEOADD", b"everywhere", b"%d" % longitude, b"%d" % latitude, b"%d/%d" % (longitude, latitude)]
    for longitude in range(-179, 180, 18)
    for latitude in (-84, -67, -50, -20, -1, 0, 15, 40, 58, 66, 81, 85)
]


@generated
@given(
    searches=st.lists(
        joined(request(b"GEOSEARCH", st.just(b"everywhere")), joined(request(b"FROMLONLAT", LONG, LAT), BY)),
        min_size=1,
        max_size=20,
    )
)
def test_generated_search_finds_all_that_redis_finds(
    oracle: Oracle, proto: int, searches: list[list[bytes]]
) -> None:
    """Among places all over the earth, in the same order: the same cells are looked into."""
    compare(oracle, [*EVERYWHERE, *searches], proto)
