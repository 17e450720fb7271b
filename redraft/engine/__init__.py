"""Storage engines: what stores a replica's keys.  One interface, one contract suite."""
