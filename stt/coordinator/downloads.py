"""Headers of files that browsers save."""

from urllib.parse import quote


def content_disposition(name: str, kind: str) -> str:
    """Return a Content-Disposition with an ASCII file name and the real one (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
