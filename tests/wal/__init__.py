"""Tests of the log on disk; `faultyfiles` is the disk that fails as disks do."""
