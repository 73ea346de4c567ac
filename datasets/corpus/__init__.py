"""Benchmarks of measured architectures."""
