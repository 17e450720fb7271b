"""The founding of a cluster: every order of meetings, crashes and wipes, and who is refused why."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from redraft.base.address import Address, parse_addresses
from redraft.base.errors import DirectoryError
from redraft.node.bootstrap import Bootstrap
from redraft.node.identity import DataDirectory
from redraft.transport.handshake import Kind, Purpose, Stage

THREE = parse_addresses("127.0.0.1:6379,127.0.0.1:6380,127.0.0.1:6381")
Start = Callable[..., Bootstrap]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts (or restarts) a node of THREE by its number; `life` names its data directory."""
    with ExitStack() as stack:
        running: dict[str, DataDirectory] = {}

        def begin(
            number: int,
            life: str = "",
            *,
            cluster: tuple[Address, ...] = THREE,
            own: Address | None = None,
            groups: int = 3,
        ) -> Bootstrap:
            name = f"{number}{life}"
            if name in running:
                running[name].close()
            directory = running[name] = DataDirectory.open(tmp_path / name)
            stack.callback(directory.close)
            address = own or cluster[number]
            return Bootstrap(
                directory,
                own=address,
                primary_port=address.port + 1000,
                replica_port=address.port + 2000,
                cluster=cluster,
                groups=groups,
                replication_factor=3,
            )

        yield begin


def meet(left: Bootstrap, right: Bootstrap) -> str:
    """One handshake: cards are shown, judged on both sides, learnt from; returns the kind of a refusal."""
    left_card = left.card()
    refusal = right.judge(left_card, Purpose.INTRODUCE)
    if refusal is None:
        right_card = right.card()
        refusal = left.judge(right_card, Purpose.INTRODUCE)
        if refusal is None:
            left.met(right_card)
            right.met(left_card)
    return refusal.kind if refusal else ""


def found(nodes: list[Bootstrap]) -> None:
    """Meet all round until all have formed."""
    for _ in range(4):
        for left in nodes:
            for right in nodes:
                if left is not right:
                    assert meet(left, right) == ""
    assert all(node.formed for node in nodes)


def test_bootstrap_of_one_is_formed_at_once(start: Start) -> None:
    """A cluster of one needs nobody; how many replicas it wants later it knows from the start."""
    node = start(0, cluster=THREE[:1])
    assert node.formed
    assert node.configuration.node_id == 1
    assert node.configuration.replication_factor == 3
    assert [member.address for member in node.configuration.members] == ["127.0.0.1:6379"]


def test_bootstrap_all_find_the_same(start: Start) -> None:
    """Whatever the order of the list, all nodes find the same ids, members and cluster id; and keep them."""
    nodes = [start(0), start(1), start(2, cluster=THREE[::-1], own=THREE[2])]
    found(nodes)
    configurations = [node.configuration for node in nodes]
    assert len({configuration.cluster_id for configuration in configurations}) == 1
    assert len({configuration.members for configuration in configurations}) == 1
    assert [configuration.node_id for configuration in configurations] == [1, 2, 3]
    again = start(1)
    assert again.formed
    assert again.configuration == configurations[1]
    assert (nodes[1].first_start, again.first_start) == (True, False)


def test_bootstrap_needs_every_node_once(start: Start) -> None:
    """Two of three don't found a cluster, and who has met all waits for the promises of all."""
    nodes = [start(0), start(1), start(2)]
    for _ in range(3):
        assert meet(nodes[0], nodes[1]) == ""
    assert [node.stage for node in nodes] == [Stage.NEW] * 3
    assert meet(nodes[0], nodes[2]) == ""
    assert [node.stage for node in nodes] == [Stage.PROMISED, Stage.NEW, Stage.NEW]
    assert meet(nodes[1], nodes[2]) == ""
    assert [node.stage for node in nodes] == [Stage.PROMISED] * 3
    assert meet(nodes[0], nodes[1]) == ""
    assert meet(nodes[0], nodes[2]) == ""
    assert meet(nodes[1], nodes[2]) == ""
    assert [node.stage for node in nodes] == [Stage.FORMED] * 3


def test_bootstrap_one_that_formed_tells_the_others(start: Start) -> None:
    """A node that has promised takes another's word that the cluster is formed: all must have promised."""
    nodes = [start(0), start(1), start(2)]
    for left, right in ((0, 1), (0, 2), (1, 2), (0, 1), (0, 2)):
        assert meet(nodes[left], nodes[right]) == ""
    assert [node.stage for node in nodes] == [Stage.FORMED, Stage.PROMISED, Stage.PROMISED]
    restarted = start(1)
    assert restarted.stage == Stage.PROMISED
    assert meet(restarted, nodes[0]) == ""
    assert restarted.formed


def test_bootstrap_refuses_a_wiped_node(start: Start) -> None:
    """A known address with a new node id was wiped; the sentence says what to do."""
    nodes = [start(0), start(1), start(2)]
    found(nodes)
    wiped = start(2, "again")
    assert meet(wiped, nodes[0]) == Kind.WIPED
    assert meet(nodes[1], wiped) == Kind.WIPED
    refusal = nodes[0].judge(wiped.card(), Purpose.INTRODUCE)
    assert refusal is not None
    assert "127.0.0.1:6381 was wiped" in refusal.reason
    assert "--join" in refusal.reason
    assert wiped.stage == Stage.NEW


@pytest.mark.parametrize("seed", range(60))
def test_bootstrap_never_forms_two_clusters(start: Start, seed: int) -> None:
    """Random meetings, half-finished handshakes, restarts and wipes: all that ever form, form the same."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    lives = [0, 0, 0]
    nodes = [start(number) for number in range(3)]
    formed: set[str] = set()
    for _ in range(rng.randrange(5, 40)):
        match rng.randrange(12):
            case 0:
                number = rng.randrange(3)
                nodes[number] = start(number, str(lives[number] or ""))
            case 1 if sum(lives) < 2:
                number = rng.randrange(3)
                lives[number] += 1
                nodes[number] = start(number, str(lives[number]))
            case 2 | 3:  # the handshake breaks before the dialler has learnt anything
                left, right = rng.sample(nodes, 2)
                card = left.card()
                if (
                    right.judge(card, Purpose.INTRODUCE) is None
                    and left.judge(right.card(), Purpose.INTRODUCE) is None
                ):
                    right.met(card)
            case _:
                meet(*rng.sample(nodes, 2))
        formed.update(node.configuration.cluster_id for node in nodes if node.formed)
    assert len(formed) <= 1


def test_bootstrap_wiped_while_founding_is_refused(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """A node wiped between its promise and the others' stops the founding: never two configurations."""
    nodes = [start(0), start(1), start(2)]
    for left, right in ((0, 1), (0, 2), (0, 2)):
        assert meet(nodes[left], nodes[right]) == ""
    assert [node.stage for node in nodes] == [Stage.PROMISED, Stage.NEW, Stage.NEW]
    wiped = start(1, "again")
    assert meet(wiped, nodes[0]) == Kind.WIPED
    assert meet(wiped, nodes[2]) == ""
    assert nodes[2].stage == Stage.NEW
    assert "one was wiped while the cluster was founded" in caplog.text


def test_bootstrap_refuses_other_settings(start: Start) -> None:
    """Nodes started for other lists or numbers of groups say how they differ."""
    node = start(0)
    assert meet(start(1, groups=4), node) == Kind.SETTINGS
    other = parse_addresses("127.0.0.1:6379,127.0.0.1:6380")
    assert meet(start(1, "b", cluster=other), node) == Kind.SETTINGS
    refusal = node.judge(start(1, "c", groups=4).card(), Purpose.INTRODUCE)
    assert refusal is not None
    assert "with 3 groups" in refusal.reason
    assert "with 4 groups" in refusal.reason


def test_bootstrap_refuses_strangers_and_other_clusters(start: Start) -> None:
    """A formed cluster refuses who is not listed, and who belongs to another."""
    nodes = [start(0), start(1), start(2)]
    found(nodes)
    four = (*THREE, *parse_addresses("127.0.0.1:6390"))
    assert meet(start(3, cluster=four), nodes[0]) == Kind.CLUSTER
    others = [start(number, "other") for number in range(3)]
    found(others)
    assert meet(others[0], nodes[1]) == Kind.CLUSTER


def test_bootstrap_refuses_itself_and_its_past(start: Start) -> None:
    """A node that meets itself, or a node set back to an older copy of its directory, is told."""
    nodes = [start(0), start(1), start(2)]
    refusal = nodes[0].judge(nodes[0].card(), Purpose.INTRODUCE)
    assert refusal is not None
    assert refusal.kind == Kind.IDENTITY
    old = nodes[1].card()
    nodes[1] = start(1)
    found(nodes)
    refusal = nodes[0].judge(old, Purpose.INTRODUCE)
    assert refusal is not None
    assert "was set back to an older copy" in refusal.reason


def test_bootstrap_directory_of_another_node(start: Start) -> None:
    """The directory of another node or another cluster is refused in one sentence; other groups are kept."""
    found([start(0), start(1), start(2)])
    with pytest.raises(DirectoryError, match=r"belongs to node 127\.0\.0\.1:6379, this is 127\.0\.0\.1:6380"):
        start(0, own=THREE[1])
    other = parse_addresses("127.0.0.1:6379,127.0.0.1:6399")
    with pytest.raises(DirectoryError, match="belongs to the cluster of"):
        start(0, cluster=other)
    assert start(0, groups=7).configuration.groups == 3


def test_bootstrap_keeps_up_with_ports(start: Start) -> None:
    """A member that comes back with other ports is known by them from then on."""
    nodes = [start(0), start(1), start(2)]
    found(nodes)
    moved = parse_addresses("127.0.0.1:6379,127.0.0.1:6380,127.0.0.1:6381@9999")
    nodes[2] = start(2, cluster=moved)
    assert nodes[2].configuration.members[2].peer_port == 9999
    nodes[0] = start(0, cluster=moved)
    assert meet(nodes[2], nodes[0]) == ""
    assert nodes[0].configuration.members == nodes[2].configuration.members
