"""The checker against histories whose verdict is known, and against brute force on small random ones."""

from __future__ import annotations

import itertools
import random

from redraft.simulation.history import Kind, Operation, Outcome
from redraft.simulation.linearizability import State, check_key, violations

INF = float("inf")


def read(start: float, end: float, result: State) -> Operation:
    return Operation("k", Kind.READ, None, start, end, result, Outcome.OK, session=-1)


def write(start: float, end: float, value: str, outcome: Outcome = Outcome.OK) -> Operation:
    return Operation("k", Kind.WRITE, value, start, end, None, outcome, session=-1)


def increment(start: float, end: float, result: int | None, outcome: Outcome = Outcome.OK) -> Operation:
    return Operation("k", Kind.INCREMENT, 1, start, end, result, outcome, session=-1)


def fits(*history: Operation) -> bool:
    return check_key("k", history) is None


def test_linearizability_accepts_a_sequence() -> None:
    """One client after another, each reading what the last wrote."""
    assert fits(read(0, 1, None), write(2, 3, "a"), read(4, 5, "a"), write(6, 7, "b"), read(8, 9, "b"))


def test_linearizability_refuses_a_stale_read() -> None:
    """A read that began after a write was acknowledged returns the value before it."""
    assert not fits(write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a"))


def test_linearizability_allows_either_value_during_a_write() -> None:
    """A read at the same time as a write may see the value before it or after it."""
    assert fits(write(0, 1, "a"), write(2, 9, "b"), read(3, 4, "a"), read(5, 6, "b"))


def test_linearizability_refuses_reads_that_go_back() -> None:
    """Once a read has seen the new value, a later one can't see the old (Herlihy and Wing's figure 1)."""
    assert not fits(write(0, 1, "a"), write(2, 9, "b"), read(3, 4, "b"), read(5, 6, "a"))


def test_linearizability_refuses_a_lost_write() -> None:
    """An acknowledged first write that nobody finds."""
    assert not fits(write(0, 1, "a"), read(2, 3, None))


def test_linearizability_lets_an_unknown_write_happen_late() -> None:
    """A write without a reply may take effect long after its client gave up."""
    lost = write(0, INF, "a", Outcome.UNKNOWN)
    assert fits(lost, read(2, 3, None), write(4, 5, "b"), read(6, 7, "b"), read(8, 9, "a"))


def test_linearizability_refuses_an_unknown_write_that_happens_twice() -> None:
    """A write without a reply takes effect once at most: its value can't come back."""
    lost = write(0, INF, "a", Outcome.UNKNOWN)
    assert not fits(lost, read(2, 3, "a"), write(4, 5, "b"), read(6, 7, "b"), read(8, 9, "a"))


def test_linearizability_lets_an_unknown_write_never_happen() -> None:
    """A write without a reply need not take effect."""
    assert fits(write(0, INF, "a", Outcome.UNKNOWN), read(2, 3, None), read(4, 5, None))


def test_linearizability_refuses_a_failed_write_that_shows() -> None:
    """A write that was refused as "not executed" can't be read."""
    assert not fits(write(0, 1, "a", Outcome.FAILED), read(2, 3, "a"))


def test_linearizability_refuses_a_value_from_the_future() -> None:
    """A value can't be read before the write of it began."""
    assert not fits(read(0, 1, "a"), write(2, 3, "a"))


def test_linearizability_accepts_counters_in_order() -> None:
    """Increments at the same time may be answered in any order, later ones must be larger."""
    assert fits(increment(0, 5, 2), increment(0, 5, 1), increment(6, 7, 3), read(8, 9, 3))


def test_linearizability_refuses_an_increment_applied_twice() -> None:
    """One increment, acknowledged as 1, and the sum is 2."""
    assert not fits(increment(0, 1, 1), read(2, 3, 2))


def test_linearizability_refuses_two_increments_with_one_answer() -> None:
    """An increment that was lost shows as the same sum told twice."""
    assert not fits(increment(0, 1, 1), increment(2, 3, 1))


def test_linearizability_lets_unknown_increments_fill_gaps() -> None:
    """Each increment without a reply explains one missing sum, and no more than one."""
    lost = [increment(0, INF, None, Outcome.UNKNOWN) for _ in range(2)]
    assert fits(*lost, increment(1, 2, 1), increment(3, 4, 3), read(5, 6, 4))
    assert not fits(*lost, increment(1, 2, 1), increment(3, 4, 3), read(5, 6, 5))


def test_linearizability_refuses_a_gap_filled_before_its_increment_began() -> None:
    """An increment without a reply can't have counted before it was sent."""
    assert not fits(increment(0, 1, 2), increment(5, INF, None, Outcome.UNKNOWN))


def test_linearizability_holds_a_pipeline_to_its_order() -> None:
    """SET a 1, GET a, SET a 2 in one pipeline: the GET says 1, though all three have the same times."""

    def pipeline(seen: str) -> list[Operation]:
        said = [(Kind.WRITE, "1", None), (Kind.READ, None, seen), (Kind.WRITE, "2", None)]
        return [
            Operation("k", kind, argument, 0, 1, result, Outcome.OK, session=7, number=number)
            for number, (kind, argument, result) in enumerate(said)
        ]

    assert fits(*pipeline("1"), read(2, 3, "2"))
    assert not fits(*pipeline("2"), read(2, 3, "2"))
    assert not fits(*pipeline("1"), read(2, 3, "1"))


def test_linearizability_judges_each_key_alone_and_names_it() -> None:
    """The violation names the key, and the operations that fit nowhere."""
    good = Operation("good", Kind.WRITE, "x", 0, 1, None, Outcome.OK, session=1)
    bad = Operation("bad", Kind.READ, None, 0, 1, "never written", Outcome.OK, session=1)
    found = violations([good, bad])
    assert [violation.key for violation in found] == ["bad"]
    assert "never written" in str(found[0])


def atomic_history(random_: random.Random, length: int, clients: int) -> list[Operation]:
    """Run operations against one true register, each at a moment inside its interval."""
    state: State = None
    clock = [0.0] * clients
    moments: list[tuple[float, Operation]] = []
    for number in range(length):
        client = random_.randrange(clients)
        start = clock[client] + random_.random()
        moment = start + random_.random()
        end = clock[client] = moment + random_.random()
        kind = random_.choice([Kind.READ, Kind.WRITE])
        argument = f"v{number}" if kind is Kind.WRITE else None
        moments.append((moment, Operation("k", kind, argument, start, end, session=client, number=number)))
    for _, operation in sorted(moments, key=lambda pair: pair[0]):
        lost = random_.random() < 0.2
        operation.outcome = Outcome.UNKNOWN if lost else Outcome.OK
        operation.end = INF if lost else operation.end
        if operation.kind is Kind.WRITE and not (lost and random_.random() < 0.5):
            state = operation.argument
        elif operation.kind is Kind.READ:
            operation.result = state
    return [operation for _, operation in moments]


def brute_force(history: list[Operation]) -> bool:
    """Try every order of every choice of unknown operations: the definition, for a handful of operations."""
    known = [operation for operation in history if operation.outcome is Outcome.OK]
    unknown = [o for o in history if o.outcome is Outcome.UNKNOWN and o.kind is not Kind.READ]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            if any(_is_legal(order) for order in itertools.permutations([*known, *chosen])):
                return True
    return False


def _is_legal(order: tuple[Operation, ...]) -> bool:
    latest = -INF
    for operation in order:
        if operation.end < latest:
            return False
        latest = max(latest, operation.start)
    state: State = None
    for operation in order:
        if operation.kind is Kind.WRITE:
            state = operation.argument
        elif operation.result != state:
            return False
    return True


def test_linearizability_accepts_every_history_of_a_true_register() -> None:
    """Histories made by a register that does each operation at one moment; long, concurrent, with losses."""
    for seed in range(200):
        print("seed", seed)
        history = atomic_history(random.Random(seed), length=200, clients=6)
        assert check_key("k", history) is None


def test_linearizability_agrees_with_brute_force() -> None:
    """Small histories with some results swapped: the same verdict as trying all orders, both ways."""
    verdicts = {True: 0, False: 0}
    for seed in range(400):
        print("seed", seed)
        random_ = random.Random(seed)
        history = atomic_history(random_, length=6, clients=3)
        reads = [o for o in history if o.kind is Kind.READ and o.outcome is Outcome.OK]
        if reads and random_.random() < 0.8:
            random_.choice(reads).result = random_.choice([None, *(o.argument for o in history)])
        verdict = brute_force(history)
        assert (check_key("k", history) is None) == verdict
        verdicts[verdict] += 1
    assert min(verdicts.values()) > 20


def test_linearizability_scales_to_long_counters() -> None:
    """Fifty thousand increments of six clients with a hundred lost ones are judged in seconds."""
    random_ = random.Random(5)
    history = []
    total = 0
    for number in range(50_000):
        total += 1
        lost = number % 500 == 0
        start = number - random_.random() * 5
        end = INF if lost else number + random_.random() * 5
        outcome = Outcome.UNKNOWN if lost else Outcome.OK
        history.append(increment(start, end, None if lost else total, outcome))
    assert check_key("k", history) is None
    history[-1].result = total + 1
    assert check_key("k", history) is not None


def test_linearizability_scales_to_reads_that_hang() -> None:
    """Forty reads that a stopped node answers at its end, beside thousands of operations of others."""
    history = atomic_history(random.Random(9), length=4_000, clients=6)
    end = max(o.end for o in history if o.outcome is Outcome.OK)
    last = [o for o in history if o.kind is Kind.WRITE and o.outcome is Outcome.OK][-1].argument
    late = [read(end / 2 + number, end + 5, last) for number in range(40)]
    closing = [write(end + 1, end + 2, "closing"), read(end + 3, end + 4, "closing")]
    assert check_key("k", [*history, *late, *closing]) is None
    stale = read(end + 3, end + 5, last)
    assert check_key("k", [*history, *late, *closing, stale]) is not None
