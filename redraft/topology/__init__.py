"""Slots, the cluster map and placement: pure."""
