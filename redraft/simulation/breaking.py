"""How the code is broken on purpose: one function replaced for a while, under a name that says how.

Registers what `mutations` collects.  A mutation lasts as long as its context, in this process and those
forked from it; production code knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple


class Mutation(NamedTuple):
    """One way to break the code."""

    name: str
    breaks: str
    """The rule, in a sentence."""
    context: Callable[[], AbstractContextManager[None]]


MUTATIONS: dict[str, Mutation] = {}


@contextmanager
def replaced(owner: Any, **functions: Any) -> Iterator[None]:
    """Let attributes of a module or a class be others for a while; KeyError where there is no such thing."""
    originals = {name: owner.__dict__[name] for name in functions}
    for name, function in functions.items():
        setattr(owner, name, function)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(owner, name, original)


def mutation(breaks: str) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Iterator[None]]]:
    """Register a way to break the code under its function's name: what holds while its generator waits."""

    def register(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
        name = make.__name__.replace("_", "-")
        assert name not in MUTATIONS
        MUTATIONS[name] = Mutation(name, breaks, contextmanager(make))
        return make

    return register
