"""How much the cluster tests do: short for CI, longer by environment variables.

CLUSTER_TEST_KILLS        single nodes killed, one after another (20 for the full proof)
CLUSTER_TEST_RESTARTS     times that all nodes are killed at once
CLUSTER_TEST_STALL_S      seconds a leader is stopped by SIGSTOP
CLUSTER_TEST_CLIENTS      clients per node
CLUSTER_TEST_CONNECTIONS  idle connections to one node (9900 for the full proof)
CLUSTER_TEST_PAUSE_MAX_S  longest answer a client on a living node may get while nodes are killed
CLUSTER_TEST_SEED         of the choice of victims and of what clients do
CLUSTER_TEST_REPORT       a file to which each test appends its figures, a line of JSON
"""

from __future__ import annotations

import json
import os
from pathlib import Path

KILLS = int(os.environ.get("CLUSTER_TEST_KILLS", "4"))
RESTARTS = int(os.environ.get("CLUSTER_TEST_RESTARTS", "2"))
STALL_S = float(os.environ.get("CLUSTER_TEST_STALL_S", "10"))
CLIENTS = int(os.environ.get("CLUSTER_TEST_CLIENTS", "2"))
CONNECTIONS = int(os.environ.get("CLUSTER_TEST_CONNECTIONS", "2000"))
PAUSE_MAX_S = float(os.environ.get("CLUSTER_TEST_PAUSE_MAX_S", "3"))
SEED = int(os.environ.get("CLUSTER_TEST_SEED", "1"))
# Generous: a hang fails by its own deadlines long before.
TIMEOUT_S = 120 + 60 * (KILLS + RESTARTS) + STALL_S


def report(test: str, figures: dict[str, object]) -> None:
    """Print a test's figures, and append them to the report file if one is named."""
    line = json.dumps({"test": test, "seed": SEED, **figures})
    print(line)
    if path := os.environ.get("CLUSTER_TEST_REPORT"):
        with Path(path).open("a") as out:
            out.write(line + "\n")
