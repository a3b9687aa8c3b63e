"""A machine that works for a fleet through a coordinator: it knows a URL and a key, no database."""
