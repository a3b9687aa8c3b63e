"""What the address of an upload may say."""

import pytest
from pydantic import ValidationError

from stt.coordinator.uploads.fields import UploadAddress, given


def test_only_options_that_are_given_and_not_empty_count() -> None:
    address = UploadAddress.model_validate({"language": "", "prompt": "A talk.", "transfer": "a-1"})
    assert given(address) == {"prompt": "A talk."}


@pytest.mark.parametrize("fields", [{"transfer": "<b>"}, {"modified": "2026-01-02T03:04:05"}])
def test_a_key_is_plain_and_a_time_says_its_zone(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        UploadAddress.model_validate(fields)
