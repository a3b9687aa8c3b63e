"""WebSockets: live state for the pages, and one socket for each node."""
