"""Suites that measure the processes, and the command line around them: python -m benchmarks."""
