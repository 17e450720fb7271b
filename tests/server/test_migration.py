"""CLUSTER MIGRATION: how it is asked and answered in Redis 8.4, on the topology's moves."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from redraft.control.slotmoves import CancelMove, MoveRecord, MoveSlots
from redraft.control.topology import Refused
from redraft.server.limits import ENDED_MOVES_MAX
from tests.commands.oracle import read_reply
from tests.server.harness import Client, Site, request

FIELDS = [
    "id", "slots", "source", "dest", "operation", "state", "last_error", "retries", "create_time",
    "start_time", "end_time", "write_pause_ms",
]  # fmt: skip
UNDER_WAY = MoveRecord(7, ((0, 99), (200, 200)), 1, 2)


@pytest.fixture
def second() -> Iterator[Site]:
    """Node 2, which leads group 2 of three."""
    with Site(node_id=2) as site:
        site.node.led_by = {1: 1, 2: 2, 3: 3}
        site.tick()
        yield site


def show(site: Site, *moves: MoveRecord, epoch: int = 7) -> None:
    """Let the node have a topology with these moves."""
    site.node.moves = moves
    site.node.map = dataclasses.replace(site.node.map, epoch=epoch)
    site.node.clients.map_changed()


def status(client: Client, *which: str) -> list[dict[str, str]]:
    """What CLUSTER MIGRATION STATUS says in RESP2, by name."""
    reply = client.ask("CLUSTER", "MIGRATION", "STATUS", *which)
    words = [line.decode() for line in reply.split(b"\r\n") if line[:1] not in (b"$", b"*")]
    assert reply.startswith(b"*")
    pairs = [(name, value.lstrip(":")) for name, value in zip(words[:-1:2], words[1::2], strict=True)]
    return [dict(pairs[at : at + len(FIELDS)]) for at in range(0, len(pairs), len(FIELDS))]


# ---- IMPORT ----


def test_migration_import_moves_slots_to_a_group_that_is_led_here(second: Site) -> None:
    """Its answer is the move's number, as a string; ranges are sorted and joined."""
    client = second.client()
    assert client.ask("CLUSTER", "MIGRATION", "IMPORT", "200", "200", "50", "99", "0", "49") == b"$1\r\n7\r\n"
    assert second.node.topology_commands == [MoveSlots(((0, 99), (200, 200)), 1, 2)]


def test_migration_import_prefers_the_group_that_should_be_led_here(second: Site) -> None:
    """Of several that are; placements are 1: 1, 2, 3 and 2: 2, 3, 1 and 3: 3, 1, 2."""
    second.node.led_by = {1: 2, 2: 2, 3: 3}
    second.tick()
    second.client().ask("CLUSTER", "MIGRATION", "IMPORT", "16000", "16000")
    second.node.led_by = {1: 2, 2: 3, 3: 3}
    second.tick()
    second.client().ask("CLUSTER", "MIGRATION", "IMPORT", "16000", "16000")
    targets = [command.target for command in second.node.topology_commands if isinstance(command, MoveSlots)]
    assert targets == [2, 1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "wrong number of arguments"),
        ("IMPORT", "wrong number of arguments"),
        ("IMPORT 100", "wrong number of arguments"),
        ("IMPORT 100 200 300", "wrong number of arguments"),
        ("UNKNOWN 1 2", "unknown argument"),
        ("IMPORT 200 100", "greater than end slot number"),
        ("IMPORT 0 16384", "out of range slot"),
        ("IMPORT 14000 18000", "out of range slot"),
        ("IMPORT -1 2", "out of range slot"),
        ("IMPORT 10 a", "out of range slot"),
        ("IMPORT 0 " + "9" * 50, "out of range slot"),
        ("IMPORT 0 100 100 200", "Slot 100 specified multiple times"),
        ("IMPORT 6000 6000", "already the owner of the slot"),
        ("IMPORT 5000 6000", "already the owner of the slot"),
        ("IMPORT 0 0 16000 16000", "slots belong to different source groups (1, 3)"),
        ("CANCEL", "wrong number of arguments"),
        ("CANCEL ID", "wrong number of arguments"),
        ("CANCEL ID 1 2", "wrong number of arguments"),
        ("CANCEL ALL 1", "wrong number of arguments"),
        ("CANCEL NOPE", "unknown argument"),
        ("CANCEL a b", "unknown argument"),
        ("STATUS", "wrong number of arguments"),
        ("STATUS ID", "wrong number of arguments"),
        ("STATUS ALL 1", "wrong number of arguments"),
        ("STATUS NOPE", "unknown argument"),
    ],
)
def test_migration_says_what_is_wrong(second: Site, words: str, error: str) -> None:
    """In words that Redis's own tests look for, where it has the same thing to say."""
    reply = second.client().ask("CLUSTER", "MIGRATION", *words.split())
    assert reply.startswith(b"-ERR")
    assert error in reply.decode()
    assert not second.node.topology_commands


def test_migration_import_is_for_leaders(second: Site) -> None:
    """Not for replica ports, nor for a node that leads nothing."""
    replica = second.client(second.front.replica_port)
    assert b"not allowed on replica" in replica.ask("CLUSTER", "MIGRATION", "IMPORT", "0", "1")
    second.node.led_by[2] = 1
    second.tick()
    primary = second.client(second.front.primary_port)
    assert b"leads no group" in primary.ask("CLUSTER", "MIGRATION", "IMPORT", "0", "1")


def test_migration_import_tells_why_the_topology_objects(second: Site) -> None:
    """Slots that are on their way already, say."""
    second.node.refusal = Refused("Slots 0 are on their way from group 1 to group 3 (move 5).")
    reply = second.client().ask("CLUSTER", "MIGRATION", "IMPORT", "0", "0")
    assert reply == b"-ERR Slots 0 are on their way from group 1 to group 3 (move 5).\r\n"


# ---- STATUS ----


def test_migration_status_has_redis_fields(second: Site) -> None:
    """In Redis's order, a map for each; the nodes are those that lead the two groups now."""
    show(second, UNDER_WAY)
    client = second.client()
    (row,) = status(client, "ID", "7")
    assert list(row) == FIELDS
    assert row["slots"] == "0-99 200-200"
    assert (row["source"], row["dest"]) == (f"{1:040x}", f"{2:040x}")
    assert (row["operation"], row["state"], row["end_time"]) == ("import", "in_progress", "0")
    assert int(row["create_time"]) > 1_700_000_000_000
    client.ask("HELLO", "3")
    reply = client.ask("CLUSTER", "MIGRATION", "STATUS", "ALL")
    assert reply.startswith(b"*1\r\n%12\r\n$2\r\nid\r\n$1\r\n7\r\n")
    assert read_reply(io.BytesIO(reply)) == reply


def test_migration_status_is_empty_for_none(second: Site) -> None:
    """An id that is no move's is no error."""
    client = second.client()
    for which in (("ALL",), ("ID", "7"), ("ID", ""), ("ID", "x"), ("ID", "9" * 40)):
        assert client.ask("CLUSTER", "MIGRATION", "STATUS", *which) == b"*0\r\n"


def test_migration_status_tells_direction(second: Site) -> None:
    """At who leads the source it migrates, elsewhere it is imported."""
    show(second, replace(UNDER_WAY, source=2, target=3))
    assert status(second.client(), "ALL")[0]["operation"] == "migrate"


def test_migration_status_outlives_the_move(second: Site) -> None:
    """What became of it, once the topology has forgotten it: newest first."""
    client = second.client()
    given_up = MoveRecord(8, ((300, 300),), 1, 2)
    show(second, UNDER_WAY, given_up, epoch=8)
    show(second, replace(UNDER_WAY, accepted=True), replace(given_up, cancelled=True), epoch=10)
    assert [row["state"] for row in status(client, "ALL")] == ["canceling", "in_progress"]
    show(second, epoch=12)
    rows = status(client, "ALL")
    assert [(row["id"], row["state"]) for row in rows] == [("8", "canceled"), ("7", "completed")]
    assert all(int(row["end_time"]) >= int(row["create_time"]) for row in rows)


def test_migration_status_knows_what_was_just_begun(second: Site) -> None:
    """The answer to IMPORT may be here before the topology that has the move is."""
    client = second.client()
    show(second, epoch=6)
    client.ask("CLUSTER", "MIGRATION", "IMPORT", "0", "99")
    assert status(client, "ID", "7")[0]["state"] == "in_progress"
    show(second, UNDER_WAY)
    assert status(client, "ID", "7")[0]["slots"] == "0-99 200-200"


def test_migration_status_judges_by_the_map_what_it_has_not_seen(second: Site) -> None:
    """A snapshot may bring a topology in which a move has come and gone."""
    client = second.client()
    show(second, UNDER_WAY, MoveRecord(8, ((300, 300),), 1, 2), epoch=8)
    owners = list(second.node.group_of_slot)
    owners[0:100], owners[200] = [2] * 100, 2
    second.node.group_of_slot = owners
    show(second, epoch=20)
    assert [row["state"] for row in status(client, "ALL")] == ["canceled", "completed"]


def test_migration_status_forgets_what_is_long_over(second: Site) -> None:
    """What is kept is bounded; what is under way is always there."""
    show(second, UNDER_WAY)
    for number in range(100, 100 + 2 * ENDED_MOVES_MAX):
        show(second, UNDER_WAY, replace(UNDER_WAY, move_id=number), epoch=number)
    show(second, UNDER_WAY, epoch=1000)
    rows = status(second.client(), "ALL")
    assert len(rows) == ENDED_MOVES_MAX + 1
    assert (rows[0]["id"], rows[-1]["id"]) == (str(99 + 2 * ENDED_MOVES_MAX), "7")


# ---- CANCEL ----


def test_migration_cancel_gives_moves_up(second: Site) -> None:
    """One or all that are under way; the answer is how many."""
    client = second.client()
    show(second, UNDER_WAY, MoveRecord(8, ((300, 300),), 1, 2), epoch=8)
    assert client.ask("CLUSTER", "MIGRATION", "CANCEL", "ID", "8") == b":1\r\n"
    assert client.ask("cluster", "migration", "cancel", "all") == b":2\r\n"
    assert second.node.topology_commands == [CancelMove(8), CancelMove(8), CancelMove(7)]
    assert client.ask("CLUSTER", "MIGRATION", "CANCEL", "ID", "9") == b":0\r\n"
    show(second, epoch=12)
    assert client.ask("CLUSTER", "MIGRATION", "CANCEL", "ALL") == b":0\r\n"


def test_migration_cancel_of_what_was_handed_over_is_none(second: Site) -> None:
    """The topology objects: the target owns the slots."""
    show(second, replace(UNDER_WAY, accepted=True))
    second.node.refusal = Refused("Group 2 owns the slots of move 7 already: move them back instead.")
    assert second.client().ask("CLUSTER", "MIGRATION", "CANCEL", "ID", "7") == b":0\r\n"


def test_migration_is_not_for_transactions(second: Site) -> None:
    """It asks another group than a transaction's."""
    client = second.client()
    client.send(request("MULTI") + request("CLUSTER", "MIGRATION", "STATUS", "ALL"))
    client.expect(b"+OK\r\n-ERR Command not allowed inside a transaction\r\n")
