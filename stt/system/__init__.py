"""Signals, processes, files, addresses and log records: what Python and the system offer."""
