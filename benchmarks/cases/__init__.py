"""What the benchmarks measure on, and how they measure; shared by the scripts beside it."""
