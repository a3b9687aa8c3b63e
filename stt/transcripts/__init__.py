"""Transcripts as txt, srt, vtt, json and tsv, and as files."""
