"""Benchmarks of the processes on cubes."""
