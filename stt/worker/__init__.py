"""One worker process: claim, transcribe and write back, in several threads."""
