"""Benchmarks of whole process graphs."""
