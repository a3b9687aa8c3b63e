"""Seeds, mutations and readers of tools/fuzz_media.py."""
