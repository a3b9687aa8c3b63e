"""ASGI middleware, outermost last in `app.py`."""
