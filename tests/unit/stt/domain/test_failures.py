"""Words for why chunks fail."""

from stt import errors
from stt.domain.failures import failure_text
from stt.errors import ChunkError


def kinds(error: type[ChunkError]) -> set[str]:
    """Return the kinds of an error and of those below it."""
    return {error.kind, *(kind for one in error.__subclasses__() for kind in kinds(one))}


def test_each_kind_of_failure_has_a_reason_and_an_advice_of_its_own() -> None:
    written = (kinds(errors.ChunkError) - {ChunkError.kind}) | {"expired"}
    texts = {kind: failure_text(kind) for kind in written}
    assert len(set(texts.values())) == len(written)
    assert failure_text("odd") == failure_text(None)
    assert failure_text("odd") not in texts.values()
    assert all(text.reason.endswith(".") and text.advice.endswith(".") for text in texts.values())
