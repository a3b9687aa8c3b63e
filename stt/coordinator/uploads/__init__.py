"""Uploads: from the request into the spool folder, and from there, cut, into the queue."""
