"""When a notification that failed is tried again."""

import pytest

from stt.domain.notification import GIVE_UP_SECONDS, retry_seconds


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 5), (2, 30), (3, 180), (4, 1_080), (5, 6_480), (6, 14_400), (1_000, 14_400)],
)
def test_the_wait_grows_to_four_hours(attempts: int, seconds: float) -> None:
    waits = [retry_seconds(attempts) for _ in range(50)]
    assert all(0.89 * seconds < wait < 1.11 * seconds for wait in waits)
    assert len(set(waits)) > 1, "processes that failed together do not come back together"


def test_a_destination_may_ask_for_more_but_not_for_ever() -> None:
    assert 100 < retry_seconds(1, 120) < 140
    assert retry_seconds(1, 1e9) < 16_000


def test_there_are_few_tries_until_it_is_given_up() -> None:
    spent, tries = 0.0, 1
    while spent < GIVE_UP_SECONDS:
        spent += retry_seconds(tries)
        tries += 1
    assert 20 < tries < 30
