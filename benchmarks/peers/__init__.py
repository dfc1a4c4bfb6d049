"""Other programs that the benchmarks compare with."""
