"""The test suites, one folder per package; `benchmarks/` starts its clusters with `tests.cluster` too."""
