"""How long an address that tried wrong keys has to wait."""

from datetime import UTC, datetime, timedelta

from stt.coordinator.store.login_throttle import LoginThrottle
from stt.store.database import Database


def test_the_wait_doubles_up_to_a_minute(database: Database) -> None:
    throttle, waits = LoginThrottle(database), []
    for _ in range(14):
        waits.append(round(throttle.record_failure("key", "10.0.0.1")))
        database.refusals.update_many({}, {"$set": {"at": datetime.now(UTC) - timedelta(hours=1)}})
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    throttle.reset("key", "10.0.0.1")
    assert throttle.record_failure("key", "10.0.0.1") == 0


def test_a_try_during_the_wait_is_not_counted(database: Database) -> None:
    throttle = LoginThrottle(database)
    for _ in range(20):
        throttle.record_failure("join", "10.0.0.1")
    assert 0 < throttle.seconds_until_allowed("join", "10.0.0.1") <= 1


def test_one_address_slows_no_other_and_one_scope_no_other(database: Database) -> None:
    throttle = LoginThrottle(database)
    for _ in range(5):
        throttle.record_failure("key", "2001:db8::1")
    assert (
        throttle.seconds_until_allowed("key", "2001:db8::ffff") > 0
    )  # the same network of one customer
    assert throttle.seconds_until_allowed("key", "2001:db8:0:1::1") == 0
    assert throttle.seconds_until_allowed("login", "2001:db8::1") == 0
