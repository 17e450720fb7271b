"""Changes of the topology as an admin command asks for them: put to a node, then followed in its reports."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import trio

from redraft.base.address import Address
from redraft.base.errors import RedraftError
from redraft.cli.report import NoAnswerError, Report, ask_anything, ask_report

LOOK_S = 0.5
REPORT_TIMEOUT_S = 5.0
SILENT_S = 15.0
"""How long a node that is followed may be without an answer."""


class ChangeRefusedError(RedraftError):
    """The cluster says no; its sentence says why."""


async def put(address: Address, timeout_s: float, words: Sequence[str]) -> int:
    """Put `REDRAFT WORDS...` to the node at an address; returns the topology's epoch after it.

    Raises ChangeRefusedError or NoAnswerError.
    """
    parts = [b"REDRAFT", *(word.encode() for word in words)]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    reply = await ask_anything(address, timeout_s, request)
    if isinstance(reply, Exception):
        raise ChangeRefusedError(str(reply).removeprefix("ERR "))
    return reply if isinstance(reply, int) else 0


async def follow(
    address: Address, epoch: int, waiting_for: Callable[[Report], str], *, goes: int = 0
) -> None:
    """Ask for reports until nothing is waited for; says on stderr what for, when that changes.

    Reports of a topology older than `epoch` say nothing of the change.

    The node that is asked may be the one that `goes`: then no answer any more is the end, too.  Raises
    NoAnswerError when another one does not answer for SILENT_S.
    """
    told, asked, heard_s = "", 0, trio.current_time()
    while True:
        try:
            report = await ask_report(address, REPORT_TIMEOUT_S)
        except NoAnswerError:
            if goes and asked == goes:
                return
            if trio.current_time() - heard_s > SILENT_S:
                raise
        else:
            asked, heard_s = report.node, trio.current_time()
            waits = waiting_for(report)
            if report.epoch >= epoch and not waits:
                return
            if waits and waits != told:
                sys.stderr.write(f"waiting: {waits}\n")
            told = waits
        await trio.sleep(LOOK_S)
