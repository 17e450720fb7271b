"""Bounds of the front end that are no settings."""

from __future__ import annotations

from typing import Final

from redraft.base.limits import COMMAND_ARGUMENTS_MAX, KIB, MIB

READ_BYTES: Final = 64 * KIB
"""One recv of a client's socket; larger ones would be mapped and unmapped each time by malloc."""
BULK_READ_BYTES: Final = MIB
"""One recv while a long argument arrives."""
READS_PER_TURN: Final = 64
"""Reads of one long argument before other connections have their turn."""
ROUNDS_PER_TURN: Final = 16
"""Rounds of one connection before other connections have their turn."""
COMMANDS_PER_SCAN: Final = 4096
"""Commands of one round, and so of one request."""
ARGUMENTS_MAX: Final = COMMAND_ARGUMENTS_MAX
"""Arguments of one command."""
SEND_PIECES: Final = 64
"""Waiting replies given to one sendmsg."""
ACCEPTS_PER_TURN: Final = 256
"""Connections taken from one listener's queue before others have their turn."""
FILES_SPARE: Final = 256
"""File descriptors kept for everything that is not a client."""
CRON_MS: Final = 1000
"""How often idle and slow clients are looked for."""
LEADERS_MS: Final = 100
"""How often it is looked who leads what; until then redirections go by what was."""
ENDED_MOVES_MAX: Final = 64
"""Moves of slots that have ended and are still shown."""
AGAIN_MS: Final = 10
"""How soon a group that has refused a command is asked again; later the longer it lasts, up to the next."""
AGAIN_MS_MAX: Final = 100
