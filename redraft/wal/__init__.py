"""The node's write-ahead log, shared by its groups."""
