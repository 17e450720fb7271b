"""redraft: a Redis-protocol server that does not lose data."""

__version__ = "0.1.0"
