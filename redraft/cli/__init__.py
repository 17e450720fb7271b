"""Flags and subcommands; the only place that wires everything."""
