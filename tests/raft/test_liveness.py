"""Claims about liveness per pair of nodes: who counts as a supporter, and since when."""

from __future__ import annotations

import random
from collections import deque

import pytest

from redraft.raft.configuration import Configuration
from redraft.raft.liveness import INCARNATION_SHIFT, ROUNDS_KEPT, Liveness
from redraft.raft.messages import DISK_FULL, Leads, LivenessMessage, Ping, Pong, Support, Withdraw

VOTERS = (1, 2, 3)
NEVER = float("-inf")
G = 7


class Pairs:
    """Nodes 1..3 with FIFO links; `follows[node][group]` is (leader, term) as the node's core has it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wall = {1: 0, 2: 0, 3: 0}
        self.flags = dict.fromkeys(VOTERS, 0)
        self.follows: dict[int, dict[int, tuple[int, int]]] = {node: {} for node in VOTERS}
        self.nodes = {node: self.make(node, 1) for node in VOTERS}
        self.wires: dict[tuple[int, int], deque[LivenessMessage]] = {
            (a, b): deque() for a in VOTERS for b in VOTERS if a != b
        }
        for a, b in ((1, 2), (1, 3), (2, 3)):
            self.link(a, b)

    def make(self, node: int, incarnation: int) -> Liveness:
        def supports(peer: int, group: int, term: int) -> bool:
            return self.follows[node].get(group) == (peer, term)

        return Liveness(node, supports, incarnation=incarnation)

    def __getitem__(self, node: int) -> Liveness:
        return self.nodes[node]

    def link(self, a: int, b: int) -> None:
        self.wires[a, b].clear()
        self.wires[b, a].clear()
        self.nodes[a].link_up(b, self.now)
        self.nodes[b].link_up(a, self.now)

    def follow(self, node: int, group: int, leader: int, term: int) -> None:
        self.follows[node][group] = (leader, term)
        self.nodes[node].recheck(group)

    def lead(self, node: int, group: int, term: int, followers: tuple[int, ...] = ()) -> None:
        self.nodes[node].lead(group, term)
        for follower in followers:
            self.follow(follower, group, node, term)

    def ping(self, node: int) -> int:
        return self.nodes[node].open_round(self.now, 1000 + self.now + self.wall[node], self.flags[node])

    def send(self) -> None:
        """All put what they have on the wires."""
        for node, liveness in self.nodes.items():
            for peer, message in liveness.take_messages():
                self.wires[node, peer].append(message)

    def arrive(self, sender: int, to: int) -> LivenessMessage:
        """The next message on one wire arrives."""
        message = self.wires[sender, to].popleft()
        self.nodes[to].step(sender, message, self.now, 1000 + self.now + self.wall[to], self.flags[to])
        return message

    def settle(self) -> None:
        """Everything arrives, in no time."""
        self.send()
        while any(self.wires.values()):
            for (sender, to), wire in self.wires.items():
                if wire:
                    self.arrive(sender, to)
            self.send()

    def confirmed(self, node: int = 1, group: int = G) -> int:
        return self.nodes[node].confirmed_round(group, Configuration(VOTERS))

    def contact(self, node: int = 1, group: int = G) -> float:
        return self.nodes[node].quorum_contact(group, Configuration(VOTERS))


def led_by_1() -> Pairs:
    """Node 1 leads group 7 in term 3; 2 and 3 follow; all is said."""
    pairs = Pairs()
    pairs.lead(1, G, 3, (2, 3))
    pairs.settle()
    return pairs


def test_liveness_round_is_confirmed_by_a_quorum_of_supporters() -> None:
    """Thesis §6.4: the leader and one of two followers."""
    pairs = led_by_1()
    pairs.now = 50.0
    number = pairs.ping(1)
    assert pairs.confirmed() < number
    pairs.send()
    pairs.arrive(1, 2)
    pairs.send()
    assert pairs.confirmed() < number
    pairs.arrive(2, 1)
    assert pairs.confirmed() == number
    assert pairs.contact() == 50.0


def test_liveness_contact_counts_from_the_sending() -> None:
    """A lease counts from when the round was sent, not from when it was answered."""
    pairs = led_by_1()
    pairs.now = 100.0
    pairs.ping(1)
    pairs.send()
    pairs.now = 400.0
    pairs.settle()
    assert pairs.contact() == 100.0


def test_liveness_one_ping_vouches_for_all_groups() -> None:
    """An idle group costs nothing: a thousand groups, two frames a peer and round."""
    pairs = Pairs()
    for group in range(1, 1001):
        pairs.lead(1, group, 5, (2, 3))
    pairs.settle()
    pairs.now = 100.0
    number = pairs.ping(1)
    messages = pairs[1].take_messages()
    assert [type(message) for _, message in messages] == [Ping, Ping]
    for peer, message in messages:
        pairs.wires[1, peer].append(message)
    pairs.settle()
    assert {pairs.confirmed(1, group) for group in range(1, 1001)} == {number}
    assert {pairs[2].vouched_ms(1, group, 5) for group in range(1, 1001)} == {100.0}


def test_liveness_set_is_sent_before_the_ping_that_vouches_for_it() -> None:
    """Otherwise the ping would vouch for what the peer has not heard of."""
    pairs = Pairs()
    pairs.settle()
    pairs.ping(1)
    pairs[1].lead(G, 3)
    to_2 = [message for peer, message in pairs[1].take_messages() if peer == 2]
    assert [type(message) for message in to_2] == [Leads, Ping]
    assert to_2[0] == Leads(1, False, ((G, 3),))
    assert isinstance(to_2[1], Ping)
    assert to_2[1].set_version == 1


def test_liveness_peer_that_does_not_follow_does_not_count() -> None:
    """Its frames look alive, but it knows another leader."""
    pairs = Pairs()
    pairs.lead(1, G, 3, (2,))
    pairs.follow(3, G, 2, 4)
    pairs.settle()
    pairs[2].link_down(1, 0.0)
    pairs[1].link_down(2, 0.0)
    before = pairs.confirmed()
    number = pairs.ping(1)
    pairs.settle()
    assert before == 0
    assert pairs.confirmed() < number


def test_liveness_support_comes_when_the_core_follows_later() -> None:
    """The claim may arrive before the first append does."""
    pairs = Pairs()
    pairs.lead(1, G, 3)
    pairs.settle()
    number = pairs.ping(1)
    pairs.settle()
    assert pairs.confirmed() == 0
    pairs.follow(2, G, 1, 3)
    pairs.settle()
    assert pairs.confirmed() == number, "its term was not beyond ours then, for it follows us now"


def test_liveness_withdraw_leaves_before_the_pong() -> None:
    """B joined the next term, and its ack would renew A's lease."""
    pairs = led_by_1()
    pairs.now = 50.0
    number = pairs.ping(1)
    pairs.send()
    pairs.arrive(1, 2)  # the pong is due, but 2 turns to another leader first
    pairs.follow(2, G, 3, 4)
    pairs.send()
    assert [type(message) for message in pairs.wires[2, 1]] == [Withdraw, Pong]
    pairs.arrive(2, 1)
    pairs.arrive(2, 1)
    assert pairs.confirmed() < number
    assert pairs.contact() < 50.0


def test_liveness_ack_given_before_the_withdrawal_counts() -> None:
    """It was given in our term, and its promise stands."""
    pairs = led_by_1()
    pairs.now = 50.0
    number = pairs.ping(1)
    pairs.send()
    pairs.arrive(1, 2)
    pairs.send()
    pairs.arrive(2, 1)
    assert (pairs.confirmed(), pairs.contact()) == (number, 50.0)
    pairs.follow(2, G, 3, 4)
    pairs.send()
    pairs.arrive(2, 1)
    assert pairs.contact() < 50.0, "from the withdrawal on it counts for nothing"


def test_liveness_support_is_for_the_term() -> None:
    """Leading again in a later term begins without supporters."""
    pairs = led_by_1()
    number = pairs.ping(1)
    pairs.settle()
    assert pairs.confirmed() == number
    pairs[1].unlead(G)
    assert pairs.confirmed() == 0
    pairs[1].lead(G, 5)
    assert pairs.confirmed() == 0
    pairs.settle()
    assert pairs.confirmed() == 0, "they follow in term 3 still"
    for node in (2, 3):
        pairs.follow(node, G, 1, 5)
    pairs.ping(1)
    pairs.settle()
    assert pairs.confirmed() > number


def test_liveness_late_support_for_an_older_term_is_ignored() -> None:
    """A support under way while the leader moves on."""
    pairs = Pairs()
    pairs.lead(1, G, 3, (2, 3))
    pairs.send()
    pairs.arrive(1, 2)
    pairs.send()
    pairs[1].lead(G, 5)
    pairs.ping(1)
    while pairs.wires[2, 1]:
        pairs.arrive(2, 1)
    assert pairs[1].peer_state(2).supporters == {}


def test_liveness_restarted_leader_is_not_vouched_for_by_its_frames() -> None:
    """A restarts fast and its frames look alive, but it no longer leads."""
    pairs = led_by_1()
    pairs.now = 100.0
    pairs.ping(1)
    pairs.settle()
    assert pairs[2].vouched_ms(1, G, 3) == 100.0
    pairs.nodes[1] = pairs.make(1, 2)
    pairs.link(1, 2)
    pairs.link(1, 3)
    pairs.now = 200.0
    pairs.ping(1)
    pairs.settle()
    assert pairs[2].heard_ms(1) == 200.0
    assert pairs[2].vouched_ms(1, G, 3) == NEVER
    assert pairs[2].leader_claim(G) == (0, 0)


def test_liveness_answers_to_an_earlier_life_are_ignored() -> None:
    """Rounds carry the incarnation of who opened them."""
    pairs = led_by_1()
    old = pairs.ping(1)
    assert old >> INCARNATION_SHIFT == 1
    pairs.nodes[1] = pairs.make(1, 2)
    pairs.link(1, 2)
    pairs.lead(1, G, 3)  # as if it could: the round alone must tell
    pairs.settle()
    pairs[1].step(2, Support(((G, 3),)), 0.0, 0, 0)
    pairs[1].step(2, Pong(old, 1, 0, 0), 0.0, 0, 0)
    assert pairs.confirmed() == 0
    assert pairs.contact() == NEVER


def test_liveness_answers_from_an_older_link_are_ignored() -> None:
    """The peer may have restarted between the links, and forgotten what it promised."""
    pairs = led_by_1()
    pairs.now = 50.0
    old = pairs.ping(1)
    pairs.link(1, 2)
    pairs.settle()
    pairs[1].step(2, Pong(old, pairs[1].peer_state(2).sent_version, 0, 0), 60.0, 0, 0)
    assert pairs[1].peer_state(2).acked_round == 0
    assert pairs[1].peer_state(2).contact_ms == NEVER


def test_liveness_link_reset_says_everything_again() -> None:
    """Support is of one link session; a new one begins with the full set."""
    pairs = led_by_1()
    number = pairs.ping(1)
    pairs.settle()
    assert pairs.confirmed() == number
    for peer in (2, 3):
        pairs[1].link_down(peer, 0.0)
        pairs[peer].link_down(1, 0.0)
    assert pairs.confirmed() == 0
    assert pairs[2].vouched_ms(1, G, 3) == NEVER
    pairs.link(1, 2)
    assert pairs[1].take_messages() == [(2, Leads(1, True, ((G, 3),)))]
    pairs.link(1, 2)
    pairs.ping(1)
    pairs.settle()
    assert pairs.confirmed() == number + 1


def test_liveness_messages_without_a_link_are_ignored() -> None:
    """Whatever arrives after the link was given up is late."""
    pairs = led_by_1()
    pairs[2].link_down(1, 0.0)
    pairs[2].step(1, Ping(99, 1, 0, 0), 500.0, 0, 0)
    pairs[2].step(9, Ping(99, 1, 0, 0), 500.0, 0, 0)
    assert pairs[2].heard_ms(1) == NEVER
    assert pairs[2].take_messages() == []


def test_liveness_answers_to_rounds_never_opened_are_ignored() -> None:
    """A peer's fault must not renew a lease."""
    pairs = led_by_1()
    number = pairs.ping(1)
    for peer in (2, 3):
        pairs[1].step(peer, Pong(number + 5, 1, 0, 0), 1.0, 0, 0)
    assert pairs.confirmed() == 0


def test_liveness_rounds_of_one_cycle_share_a_ping() -> None:
    """An answer confirms all rounds before it, so only the last is asked."""
    pairs = led_by_1()
    first, second = pairs.ping(1), pairs.ping(1)
    pairs.send()
    assert [type(message) for message in pairs.wires[1, 2]] == [Ping]
    pairs.settle()
    assert first < second == pairs.confirmed()


def test_liveness_answer_to_a_forgotten_round_renews_no_contact() -> None:
    """Only so many rounds are remembered; an older one confirms, which needs no time."""
    pairs = led_by_1()
    first = pairs.ping(1)
    for _ in range(ROUNDS_KEPT):
        pairs.ping(1)
    before = pairs.contact()
    for peer in (2, 3):
        pairs[1].step(peer, Pong(first, pairs[1].peer_state(peer).sent_version, 0, 0), 1.0, 0, 0)
    assert (pairs.confirmed(), pairs.contact()) == (first, before)


def test_liveness_peer_that_missed_the_set_is_told_again() -> None:
    """Belt and braces: the versions in ping and pong say what a link that loses would hide."""
    pairs = led_by_1()
    pairs[1].lead(8, 1)
    pairs.follow(2, 8, 1, 1)
    pairs.send()
    assert isinstance(pairs.wires[1, 2].pop(), Leads)
    pairs.now = 50.0
    number = pairs.ping(1)
    pairs.send()
    pairs.arrive(1, 2)
    assert pairs[2].vouched_ms(1, G, 3) < 50.0, "a ping for an unknown version vouches for nothing"
    pairs.send()
    pairs.arrive(2, 1)
    assert pairs[1].peer_state(2).acked_round < number
    pairs.settle()
    pairs.now = 60.0
    pairs.ping(1)
    pairs.settle()
    assert pairs[2].vouched_ms(1, 8, 1) == 60.0
    assert pairs[1].peer_state(2).supporters == {G: 3, 8: 1}


def test_liveness_group_given_up_is_not_vouched_for() -> None:
    """A leader that steps down says so with its next set; its followers' timers run."""
    pairs = led_by_1()
    pairs[1].unlead(G)
    pairs.now = 100.0
    pairs.ping(1)
    pairs.settle()
    assert pairs[2].vouched_ms(1, G, 3) == NEVER
    assert pairs[2].leader_claim(G) == (0, 0)


def test_liveness_withdraw_can_be_explicit() -> None:
    """For a driver that leaves a leader before it knows the next."""
    pairs = led_by_1()
    pairs[2].withdraw(G)
    pairs.ping(1)
    pairs.settle()
    assert set(pairs[1].peer_state(2).supporters) == set()
    assert set(pairs[1].peer_state(3).supporters) == {G}
    pairs[2].recheck(G)
    pairs.settle()
    assert set(pairs[1].peer_state(2).supporters) == {G}


def test_liveness_claim_of_the_newest_term_wins() -> None:
    """For groups without a replica here; an old leader may not know yet."""
    pairs = Pairs()
    pairs.lead(1, G, 3)
    pairs.lead(2, G, 4)
    pairs.settle()
    assert pairs[3].leader_claim(G) == (2, 4)
    pairs[2].unlead(G)
    pairs.settle()
    assert pairs[3].leader_claim(G) == (1, 3)


@pytest.mark.parametrize("seed", range(5))
def test_liveness_leader_claim_is_the_best_of_all_peers_claims(seed: int) -> None:
    """Whatever was claimed, given up, or lost with a link."""
    chance, pairs = random.Random(seed), Pairs()
    for _ in range(200):
        node, group, what = chance.choice(VOTERS), chance.randrange(4), chance.randrange(5)
        other = chance.choice([each for each in VOTERS if each != node])
        if what < 2:
            pairs.lead(node, group, chance.randrange(1, 9))
        elif what == 2:
            pairs.nodes[node].unlead(group)
        elif what == 3:
            pairs.link(node, other)
        else:
            pairs.nodes[node].link_down(other, pairs.now)
        pairs.settle()
        for each in VOTERS:
            for number in range(4):
                claims = [
                    (term, peer)
                    for peer in VOTERS
                    if (term := pairs[each].peer_state(peer).claims.get(number))
                ]
                assert pairs[each].leader_claim(number) == max(claims, default=(0, 0))[::-1], f"seed {seed}"


def test_liveness_group_of_one_is_always_in_contact() -> None:
    """Nobody to ask."""
    alone = Liveness(1, lambda peer, group, term: False)
    alone.lead(G, 1)
    number = alone.open_round(5.0, 0, 0)
    assert alone.confirmed_round(G, Configuration((1,))) == number
    assert alone.quorum_contact(G, Configuration((1,))) == float("inf")


def test_liveness_not_led_is_never_confirmed() -> None:
    """Whatever the rounds say."""
    pairs = led_by_1()
    pairs.ping(2)
    pairs.settle()
    assert pairs.confirmed(2) == 0
    assert pairs.contact(2) == NEVER


def test_liveness_measures_round_trip_and_clock_offset() -> None:
    """The peer's clock against ours, as of the middle of the round trip; flags as of the last frame."""
    pairs = led_by_1()
    pairs.wall[2] = 5000
    pairs.flags[2] = DISK_FULL
    for _ in range(50):
        pairs.now += 100.0
        pairs.ping(1)
        pairs.send()
        pairs.now += 10.0
        pairs.arrive(1, 2)
        pairs.send()
        pairs.now += 10.0
        pairs.settle()
    peer = pairs[1].peer_state(2)
    assert abs(peer.rtt_ms - 20.0) < 1.0
    assert abs(peer.wall_offset_ms - 5000.0) < 2.0
    assert peer.flags == DISK_FULL
    assert pairs[1].peer_state(3).flags == 0
    assert pairs[1].peer_state(99).flags == 0


def test_contact_floor_is_below_every_quorum_while_nothing_changes() -> None:
    """What is true of all linked peers is true of any quorum of supporters; a change says: count again."""
    pairs = Pairs()
    pairs.lead(1, G, 5, followers=(2, 3))
    pairs.settle()
    for _ in range(3):
        pairs.now += 100
        pairs.ping(1)
        pairs.settle()
        assert pairs[1].contact_floor() == pairs[1].quorum_contact(G, Configuration(VOTERS)) == pairs.now
    before = pairs[1].changes
    pairs.now += 100
    pairs.ping(1)
    pairs.settle()
    assert pairs[1].changes == before, "an answer changes nothing"
    pairs.follow(2, G, 3, 6)
    pairs.settle()
    assert pairs[1].changes > before, "a supporter is gone"
    before = pairs[1].changes
    pairs[1].link_down(3, pairs.now)
    assert pairs[1].changes > before
    assert pairs[1].quorum_contact(G, Configuration(VOTERS)) == NEVER
