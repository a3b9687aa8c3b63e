"""An OpenAI-compatible HTTP server around a Whisper engine; knows nothing of queues."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("stt-fleet")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
