"""Tests that run real processes: clusters that are loaded, killed, stopped and started again."""
