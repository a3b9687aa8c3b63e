"""Turn recordings into transcripts with a fleet of machines that share one MongoDB database."""

from importlib.metadata import version

__version__ = version("stt-fleet")
