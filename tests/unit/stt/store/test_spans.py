"""Parts of a recording without a transcript."""

from stt.store.spans import UntranscribedSpan, merged


def test_neighbours_of_one_state_are_one_part() -> None:
    spans = [
        UntranscribedSpan(0, 30, "pending"), UntranscribedSpan(30.0005, 60, "pending"),
        UntranscribedSpan(60, 90, "failed"), UntranscribedSpan(120, 150, "failed"),
    ]  # fmt: skip
    assert merged(spans) == (
        UntranscribedSpan(0, 60, "pending"),
        UntranscribedSpan(60, 90, "failed"),
        UntranscribedSpan(120, 150, "failed"),
    )
