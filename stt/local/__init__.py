"""Start an embedded database and a whisper server on this machine."""
