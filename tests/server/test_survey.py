"""What clients are told of all groups: made in pieces, shared, and the same as if it were made anew."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import pytest

from redraft.server import survey
from redraft.server.pages import ShardsPage, SlotsPage
from redraft.topology.cluster_map import ClusterMap, Group, Member, first_map
from tests.server.fakenode import FakeNode
from tests.server.harness import Site, request

MANY = 3 * survey.GROUPS_PER_TURN - 5
MEMBERS = [Member(n, f"{n:040x}", "127.0.0.1", 6378 + n, 7378 + n, 8378 + n, 16378 + n) for n in range(1, 8)]
ASKED = ("SLOTS", "SHARDS", "NODES", "INFO", "MYSHARDID")


def node_of(groups: int) -> FakeNode:
    """A node of seven, each of which leads its share."""
    node = FakeNode(members=MEMBERS, contexts={})
    show(node, first_map("c", MEMBERS, groups=groups, replication_factor=3))
    node.led_by = {group.group_id: group.voters[0] for group in node.map.groups}
    return node


def show(node: FakeNode, cluster: ClusterMap) -> None:
    """Let a node have another map."""
    node.map, node.group_of_slot = cluster, cluster.group_of_slot


@pytest.fixture
def large() -> Iterator[Site]:
    """A node of so many groups that they can't be looked at in one turn."""
    with Site(node_of(MANY)) as site:
        yield site


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever CLUSTER SLOTS begins to be made."""
    times: list[int] = []
    begin = SlotsPage.begin

    def counted(page: SlotsPage, view: survey.View) -> None:
        times.append(len(times))
        begin(page, view)

    monkeypatch.setattr(SlotsPage, "begin", counted)
    return times


def change(node: FakeNode, chance: random.Random) -> None:
    """Something happens to the cluster."""
    what = chance.randrange(5)
    group = chance.randrange(len(node.map.groups))
    record = node.map.groups[group]
    if what == 0:
        node.led_by[record.group_id] = chance.choice([0, *record.voters])
    elif what == 1:
        node.silent_ms = {each: chance.choice([400.0, 60_000.0]) for each in chance.sample(range(2, 8), 2)}
    elif what == 2:
        node.silent_ms = {}
    elif what == 3:
        moved = dataclasses.replace(record, voters=tuple(chance.sample(range(1, 8), 3)))
        show(node, dataclasses.replace(node.map, epoch=node.map.epoch + 1, groups=put(node, group, moved)))
    else:
        other = dataclasses.replace(chance.choice(MEMBERS), host=f"10.0.0.{chance.randrange(9)}")
        members = tuple(other if each.node_id == other.node_id else each for each in node.map.members)
        show(node, dataclasses.replace(node.map, epoch=node.map.epoch + 1, members=members))


def put(node: FakeNode, at: int, group: Group) -> tuple[Group, ...]:
    return (*node.map.groups[:at], group, *node.map.groups[at + 1 :])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_is_what_would_be_made_anew(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any changes each reply is that of a node that has never been asked before."""
    monkeypatch.setattr(survey, "GROUPS_PER_TURN", 5)
    monkeypatch.setattr("redraft.server.local.cluster.time.time", lambda: 1e9)
    chance = random.Random(seed)
    node = node_of(12)
    with Site(node) as site:
        clients = [site.client(site.front.replica_port), site.client(site.front.primary_port)]
        clients[0].ask("HELLO", "3")
        for _ in range(60):
            change(node, chance)
            site.tick(1.0)
            for client, proto in zip(clients, (3, 2), strict=True):
                word = chance.choice(ASKED)
                told = client.ask("CLUSTER", word)
                with Site(node) as other:
                    other.front.leaders = site.front.leaders  # who led last is part of it
                    port = next(p for p in other.front.ports if p.name == client.connection.port.name)
                    fresh = other.client(port)
                    fresh.ask("HELLO", str(proto))
                    assert fresh.ask("CLUSTER", word) == told, f"seed {seed}"
                node.clients = site.front


def test_others_are_served_while_a_page_is_made(large: Site) -> None:
    """A turn looks at a part of the groups; what stands behind the question is answered behind it."""
    client, other = large.client(), large.client()
    client.sock.sendall(request("CLUSTER", "SLOTS") + request("PING"))
    large.reactor.cycle(1.0)
    assert client.connection.busy, "it takes more than a turn"
    other.sock.sendall(request("PING"))
    while not large.reactor.cycle(1.0):
        pass
    assert client.connection.busy
    assert other.sock.recv(100) == b"+PONG\r\n"
    assert client.reply().startswith(b"*%d\r\n" % MANY)
    assert client.reply() == b"+PONG\r\n"


def test_all_who_ask_share_what_is_made(large: Site, begun: list[int]) -> None:
    """It is made once for all that ask at the same time, and not again until something changes."""
    clients = [large.client() for _ in range(5)]
    for client in clients:
        client.sock.sendall(request("CLUSTER", "SLOTS"))
    replies = {client.reply() for client in clients}
    replies.add(large.client().ask("CLUSTER", "SLOTS"))
    assert len(replies) == 1
    assert len(begun) == 1
    large.node.led_by[7] = large.node.map.groups[6].voters[1]
    assert clients[0].ask("CLUSTER", "SLOTS") not in replies
    assert len(begun) == 2


def test_who_asks_after_a_change_is_told_of_it(large: Site) -> None:
    """A page that was begun before is no answer; who asked before the change need not wait for another."""
    early, late = large.client(), large.client()
    early.sock.sendall(request("CLUSTER", "SLOTS"))
    large.reactor.cycle(1.0)
    node = large.node
    first = node.map.groups[0]
    moved = dataclasses.replace(first, voters=first.voters[::-1])
    show(node, dataclasses.replace(node.map, epoch=2, groups=put(node, 0, moved)))
    node.led_by[1] = moved.voters[0]
    late.sock.sendall(request("CLUSTER", "SLOTS"))
    before, after = early.reply(), late.reply()
    assert b":7379\r\n" in before[:120]
    assert b":%d\r\n" % (7378 + moved.voters[0]) in after[:120]


def test_replies_are_given_out_over_several_turns(large: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large replies to many clients take the loop for a part of them at a time; nobody is forgotten."""
    monkeypatch.setattr(survey, "BYTES_PER_TURN", 1)
    clients = [large.client() for _ in range(4)]
    for _ in range(2):
        for client in clients:
            client.sock.sendall(request("CLUSTER", "NODES"))
        assert len({client.reply() for client in clients}) == 1


def test_a_transaction_has_its_answer_at_once(large: Site) -> None:
    """Between MULTI and EXEC nothing can wait, also while others do."""
    waiting, client = large.client(), large.client()
    client.ask("MULTI")
    client.ask("CLUSTER", "SLOTS")
    waiting.sock.sendall(request("CLUSTER", "SLOTS"))
    large.reactor.cycle(1.0)
    assert waiting.connection.busy
    assert client.ask("EXEC") == b"*1\r\n" + waiting.reply()


def test_clients_that_go_while_they_wait_are_no_trouble(large: Site) -> None:
    """Their replies are made into nothing; the others have theirs."""
    gone, staying = large.client(), large.client()
    for client in (gone, staying):
        client.sock.sendall(request("CLUSTER", "REPLICAS", MEMBERS[0].hex_id))
    large.reactor.cycle(1.0)
    gone.connection.close()
    assert staying.reply().startswith(b"*")
    assert staying.ask("CLUSTER", "REPLICAS", "nobody") == b"-ERR Unknown node nobody\r\n"
    large.node.led_by[1] = 0
    assert staying.ask("CLUSTER", "REPLICAS", "nobody") == b"-ERR Unknown node nobody\r\n"


@pytest.mark.parametrize("kind", [SlotsPage, ShardsPage])
def test_groups_that_are_gone_leave_nothing(kind: type[SlotsPage | ShardsPage], large: Site) -> None:
    """Groups come and go for as long as a node lives."""
    client, word = large.client(), kind.__name__.removesuffix("Page")
    before = client.ask("CLUSTER", word)
    page = large.front.survey._page(kind, 2)
    assert isinstance(page, kind)
    assert len(page.pieces) == MANY
    show(large.node, dataclasses.replace(large.node.map, epoch=2, groups=large.node.map.groups[:7]))
    assert client.ask("CLUSTER", word) != before
    assert sorted(page.pieces) == [group.group_id for group in large.node.map.groups]
