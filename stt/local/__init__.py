"""What one machine brings up by itself: the embedded database and a whisper server."""
