"""A coordinator in this process, and the file of a node's credentials."""

from tests.integration.stt.node.conftest import coordinator, file

__all__ = ["coordinator", "file"]
