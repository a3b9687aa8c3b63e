"""The settings of what one machine starts by itself; a part of `Settings`."""

from stt.audio_settings import AudioSettings
from stt.setting_types import DATABASE, setting


class LocalSettings(AudioSettings):
    """How long the embedded database and the whisper server of this machine stay."""

    keep_alive_seconds: float = setting(
        60, "How long the embedded database and the whisper server of this machine stay for the "
        "next command; 0: they end with the last one", env="STT_KEEP_ALIVE_SECONDS",
        flag="--keep-alive", panel=DATABASE, unit="seconds", ge=0, le=3_600, allow_inf_nan=False,
    )  # fmt: skip
