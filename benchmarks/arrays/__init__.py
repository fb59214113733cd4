"""Benchmarks of the processes on arrays."""
