"""Tests of the consensus core; `group` scripts a few nodes by hand, `history` simulates them from a seed."""
