"""The generators of the reference pages, see tools/make_docs.py."""
