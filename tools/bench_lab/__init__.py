"""The parts of tools/bench_server.py: what is compared, what it is fed, how it is told."""
