"""Benchmarks against the peers, on one machine, in one run; how to read them stands in README.md."""
