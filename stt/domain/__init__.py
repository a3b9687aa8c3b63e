"""The data that all layers share: chunks, claims, transcripts, nodes."""
