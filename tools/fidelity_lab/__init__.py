"""The parts of tools/bench_fidelity.py."""
