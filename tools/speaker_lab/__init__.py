"""The parts of tools/bench_speakers.py: conversations of known speakers, and what is measured."""
