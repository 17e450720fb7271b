"""Snapshots: their format, the files that hold them, and the thread that writes those."""
