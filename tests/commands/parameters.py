"""How many sequences are compared with redis-server: few for CI, more by an environment variable.

ORACLE_TEST_EXAMPLES  sequences of each generated test (20,000 for the full proof, which takes hours)

How many were compared, of how many commands, is told at the end of a run.
"""

from __future__ import annotations

import os

EXAMPLES = int(os.environ.get("ORACLE_TEST_EXAMPLES", "150"))
# Generous: a sequence takes a twentieth of it.
TIMEOUT_S = 120 + EXAMPLES // 2
