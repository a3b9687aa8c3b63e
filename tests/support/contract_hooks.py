"""Read by schemathesis: its random files are no audio, so half of them become silence."""

import schemathesis
from hypothesis import strategies

from tests.support.whisper_stand_in import wav

schemathesis.openapi.format("binary", strategies.just(wav(1.0)) | strategies.binary())
