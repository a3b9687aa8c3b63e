"""What travels between the layers: chunks, claims, transcripts, nodes. No database, no network."""
