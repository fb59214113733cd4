"""Benchmarks of the mathematical processes."""
