"""Tests of the consensus core; `group` scripts a few nodes by hand, `world` simulates them from a seed."""
