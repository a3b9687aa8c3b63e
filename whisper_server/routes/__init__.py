"""The endpoints, one file a group; each has a `router(service)` that returns its routes."""
