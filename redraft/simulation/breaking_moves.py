"""Moves of slots, broken: who owns what, what is copied, who decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from redraft.commands import execute, moving
from redraft.commands.context import Context
from redraft.commands.guard import execute_guarded
from redraft.commands.keyspace import Keyspace
from redraft.commands.ownership import Ownership
from redraft.control import topology as control
from redraft.node.mover import Mover, Phase
from redraft.simulation.breaking import mutation, replaced


@mutation("a group refuses commands on slots that it does not own, or that are frozen")
def moved_slots_still_served() -> Iterator[None]:
    def own(keyspace: Keyspace, ownership: Ownership) -> None:
        original(keyspace, ownership)
        keyspace.foreign = keyspace.guarded = None

    original = Keyspace.own
    with replaced(Keyspace, own=own):
        yield


@mutation("a freeze stops reads as well as writes")
def frozen_slots_still_read() -> Iterator[None]:
    def guarded(ctx: Context, data: bytes, marks: Any, run: Any) -> list[bytes]:
        keyspace = ctx.keyspace
        foreign, ownership = keyspace.foreign, keyspace.ownership
        if not ctx.write and foreign is not None and ownership is not None:
            keyspace.foreign = foreign - ownership.frozen
        try:
            return execute_guarded(ctx, data, marks, run)
        finally:
            if not ctx.write:
                keyspace.foreign = foreign

    with replaced(execute, execute_guarded=guarded):
        yield


@mutation("what was written up to the freeze is sent before the target accepts")
def last_round_left_out() -> Iterator[None]:
    def hand_over(mover: Mover) -> None:
        mover._forget_copy()
        original(mover)

    original = Mover._hand_over
    with replaced(Mover, _hand_over=hand_over):
        yield


@mutation("a mover does nothing about what it hears after its term")
def deposed_mover_goes_on() -> Iterator[None]:
    with replaced(Mover, _is_over=lambda mover: mover._closed):
        yield


@mutation("only what the newest attempt has brought is accepted")
def old_attempt_accepted() -> Iterator[None]:
    def accept(ctx: Context, number: int, args: list[bytes]) -> bytes:
        ownership = ctx.keyspace.ownership
        known = ownership.incoming.get(number) if ownership is not None else None
        if known is not None:
            args = [b"%d" % known.attempt, b"%d" % known.number, *args[2:]]
        return original(ctx, number, args)

    original = moving._accept
    table = {**moving._SUBCOMMANDS, b"ACCEPT": (*moving._SUBCOMMANDS[b"ACCEPT"][:2], accept)}
    with replaced(moving, _SUBCOMMANDS=table):
        yield


@mutation("a new attempt begins with nothing")
def attempt_goes_on_with_the_last_ones_keys() -> Iterator[None]:
    with replaced(moving, wipe=lambda _keyspace, _incoming: None):
        yield


@mutation("the source serves again only after the target's committed refusal")
def unfrozen_before_the_refusal() -> Iterator[None]:
    def tick(mover: Mover, now_ms: float) -> None:
        if mover.move.cancelled and mover._phase is Phase.FROZEN and not mover._closed:
            mover._decide(accepted=False)
            mover._asking = False
        original(mover, now_ms)

    original = Mover.tick
    with replaced(Mover, tick=tick):
        yield


@mutation("the target's clock rises to the source's")
def clock_left_behind() -> Iterator[None]:
    def accept(ctx: Context, number: int, args: list[bytes]) -> bytes:
        told = msgspec.msgpack.decode(args[2], type=moving.Accepted)
        blob = msgspec.msgpack.encode(replace(told, clock_ms=0))
        return original(ctx, number, [*args[:2], blob])

    original = moving._accept
    table = {**moving._SUBCOMMANDS, b"ACCEPT": (*moving._SUBCOMMANDS[b"ACCEPT"][:2], accept)}
    with replaced(moving, _SUBCOMMANDS=table):
        yield


@mutation("the id of a move is given once, also when an entry begins several")
def move_ids_by_entry() -> Iterator[None]:
    def move(topology: control.Topology, command: Any, index: int) -> Any:
        return original(replace(topology, next_move_id=0), command, index)

    original = control._move
    with replaced(control, _move=move):
        yield
