"""Places on the earth as numbers that sort: 52 bits, of longitude and latitude in turn, as in Redis.

A cell is (bits, step): `step` bits of each coordinate.  A place's score is its cell of 26 steps; all places
of a larger cell have scores in one range, so what is near is found by looking into a few ranges.  The earth
is a ball of Redis's radius, so that distances are Redis's to the last digit.
"""

from __future__ import annotations

from math import asin, cos, degrees, radians, sin, sqrt
from typing import Final, NamedTuple

LONGITUDE_MAX: Final = 180.0
LATITUDE_MAX: Final = 85.05112878
"""Of the Mercator projection, as in Redis."""
STEPS: Final = 26
EARTH_RADIUS_M: Final = 6372797.560856
_MERCATOR_M: Final = 20037726.37
_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
_HASH_CHARACTERS: Final = 11


class Area(NamedTuple):
    """What a cell covers, in degrees."""

    west: float
    south: float
    east: float
    north: float


class Cell(NamedTuple):
    """Bits of both coordinates, the longitude's first, and how many of each."""

    bits: int
    step: int

    @property
    def scores(self) -> tuple[int, int]:
        """The scores of the places in it: from, and up to but not including."""
        shift = 2 * (STEPS - self.step)
        return self.bits << shift, (self.bits + 1) << shift


def _spread(number: int) -> int:
    """Put a zero between all bits of a number of 32 bits."""
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        number = (number | number << shift) & mask
    return number


def _gather(number: int) -> int:
    """Undo `_spread`."""
    number &= 0x5555555555555555
    for shift, mask in (
        (1, 0x3333333333333333),
        (2, 0x0F0F0F0F0F0F0F0F),
        (4, 0x00FF00FF00FF00FF),
        (8, 0x0000FFFF0000FFFF),
        (16, 0x00000000FFFFFFFF),
    ):
        number = (number | number >> shift) & mask
    return number


def cell_of(longitude: float, latitude: float, step: int = STEPS, latitude_max: float = LATITUDE_MAX) -> Cell:
    """Return the cell of a place."""
    size = 1 << step
    x = int((longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX) * size)
    y = int((latitude + latitude_max) / (2 * latitude_max) * size)
    return Cell(_spread(y & 0xFFFFFFFF) | _spread(x & 0xFFFFFFFF) << 1, step)


def area_of(cell: Cell) -> Area:
    """Return what a cell covers."""
    size = 1 << cell.step
    x, y = _gather(cell.bits >> 1), _gather(cell.bits)
    width, height = 2 * LONGITUDE_MAX, 2 * LATITUDE_MAX
    return Area(
        -LONGITUDE_MAX + x / size * width,
        -LATITUDE_MAX + y / size * height,
        -LONGITUDE_MAX + (x + 1) / size * width,
        -LATITUDE_MAX + (y + 1) / size * height,
    )


def place_of(score: int) -> tuple[float, float]:
    """Return (longitude, latitude) of the middle of a score's cell."""
    area = area_of(Cell(score, STEPS))
    longitude, latitude = (area.west + area.east) / 2, (area.south + area.north) / 2
    return (
        max(-LONGITUDE_MAX, min(LONGITUDE_MAX, longitude)),
        max(-LATITUDE_MAX, min(LATITUDE_MAX, latitude)),
    )


def text_of(score: int) -> bytes:
    """Return the standard geohash of a score: eleven characters, of latitudes from pole to pole."""
    bits = cell_of(*place_of(score), latitude_max=90.0).bits
    indexes = [bits >> (2 * STEPS - 5 * (at + 1)) & 31 for at in range(_HASH_CHARACTERS - 1)]
    return bytes(_ALPHABET[index] for index in [*indexes, 0])  # 52 bits are ten characters and two bits


def _latitude_distance(first: float, second: float) -> float:
    return EARTH_RADIUS_M * abs(radians(second) - radians(first))


def distance(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
    """Return the metres between two places (haversine)."""
    v = sin((radians(other_longitude) - radians(longitude)) / 2)
    if v == 0.0:
        return _latitude_distance(latitude, other_latitude)
    first, second = radians(latitude), radians(other_latitude)
    u = sin((second - first) / 2)
    return 2.0 * EARTH_RADIUS_M * asin(sqrt(u * u + cos(first) * cos(second) * v * v))


class Shape(NamedTuple):
    """Where to look, in metres: a circle of a radius, or, with a width and a height, a box."""

    longitude: float
    latitude: float
    radius: float = 0.0
    width: float = 0.0
    height: float = 0.0

    def distance(self, longitude: float, latitude: float) -> float | None:
        """Return the metres from the middle to a place, None when it is outside."""
        if not self.width and not self.height:
            found = distance(self.longitude, self.latitude, longitude, latitude)
            return found if found <= self.radius else None
        if _latitude_distance(latitude, self.latitude) > self.height / 2:
            return None
        if distance(longitude, latitude, self.longitude, latitude) > self.width / 2:
            return None
        return distance(self.longitude, self.latitude, longitude, latitude)


def _steps(radius: float, latitude: float) -> int:
    """How fine cells may be so that nine of them cover a circle."""
    if radius == 0:
        return STEPS
    step = 1
    while radius < _MERCATOR_M:
        radius *= 2
        step += 1
    step -= 2
    if abs(latitude) > 66:
        step -= 1
        if abs(latitude) > 80:
            step -= 1
    return max(1, min(STEPS, step))


def _moved(cell: Cell, dx: int, dy: int) -> Cell:
    """The cell beside one; around the earth it goes on at the other end."""
    size = 1 << cell.step
    x, y = _gather(cell.bits >> 1) + dx, _gather(cell.bits) + dy
    return Cell(_spread(y % size) | _spread(x % size) << 1, cell.step)


_AROUND: Final = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""The cell itself and its neighbours, in the order in which Redis looks into them."""


def cells_around(shape: Shape) -> list[Cell]:
    """Return cells that together cover a shape, in the order in which Redis looks into them."""
    radius = shape.radius
    width = height = 2 * radius
    if shape.width or shape.height:
        width, height = shape.width, shape.height
        radius = sqrt((width / 2) ** 2 + (height / 2) ** 2)
    longitude, latitude = shape.longitude, shape.latitude
    step = _steps(radius, latitude)
    middle = cell_of(longitude, latitude, step)
    bounds = _bounds(longitude, latitude, width, height)
    if step > 1 and _too_fine(middle, bounds):
        step -= 1
        middle = cell_of(longitude, latitude, step)
    area = area_of(middle)
    cells: list[Cell] = []
    for dx, dy in _AROUND:
        if step >= 2 and (
            (dy < 0 and area.south < bounds.south)
            or (dy > 0 and area.north > bounds.north)
            or (dx < 0 and area.west < bounds.west)
            or (dx > 0 and area.east > bounds.east)
        ):
            continue
        cell = _moved(middle, dx, dy) if dx or dy else middle
        if not cells or cell != cells[-1]:
            cells.append(cell)
    return cells


def _too_fine(middle: Cell, bounds: Area) -> bool:
    """Whether a neighbour ends within the bounds; as in Redis, one beyond an edge of the map seems to."""
    return (
        area_of(_moved(middle, 0, 1)).north < bounds.north
        or area_of(_moved(middle, 0, -1)).south > bounds.south
        or area_of(_moved(middle, 1, 0)).east < bounds.east
        or area_of(_moved(middle, -1, 0)).west > bounds.west
    )


def _bounds(longitude: float, latitude: float, width: float, height: float) -> Area:
    """The box around a shape, in degrees."""
    dy = degrees(height / 2 / EARTH_RADIUS_M)
    edge = latitude - dy if latitude < 0 else latitude + dy  # where the box is widest
    dx = degrees(width / 2 / EARTH_RADIUS_M / cos(radians(edge)))
    return Area(longitude - dx, latitude - dy, longitude + dx, latitude + dy)
