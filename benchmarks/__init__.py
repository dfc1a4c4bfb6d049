"""Benchmarks: `python -m benchmarks [NAME ...] [--quick]` prints one table."""
