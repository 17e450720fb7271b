"""The test suites, one folder per package; `tests.cluster` is also what `benchmarks/` starts clusters with."""
