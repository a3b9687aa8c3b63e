"""The parts of tools/bench_scale.py: a queue in memory, a fleet in simulated time, and timings."""
