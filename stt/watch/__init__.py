"""Folders that are watched: new recordings go into the queue, and their transcripts come back."""
