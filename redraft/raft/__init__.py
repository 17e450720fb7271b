"""The consensus core: sans I/O, no clock, no randomness of its own.  One `Raft` is one group on one node."""
