"""The settings of where audio is stored, and for how long; a part of `Settings`."""

from stt.setting_types import DATABASE, Duration, NamedSettings, S3Place, S3Places, setting


class AudioSettings(NamedSettings):
    """Where new audio is stored, what else may be read, and for how long audio is kept."""

    audio_store: S3Place | None = setting(
        None, "Where new audio is stored: s3://BUCKET/FOLDER. Address and keys of the store are "
        "those of the AWS tools, such as AWS_ENDPOINT_URL_S3 and AWS_PROFILE",
        env="STT_AUDIO_STORE", panel=DATABASE, unit="URL", shown_default="in the database",
    )  # fmt: skip
    audio_sources: S3Places = setting(
        (), "Another place in S3 whose audio may be read: of an earlier STT_AUDIO_STORE, or of "
        "other programs' chunks; may be repeated, in the environment separated by commas",
        env="STT_AUDIO_SOURCES", flag="--audio-source", panel=DATABASE, unit="URL",
        shown_default="none",
    )  # fmt: skip
    keep_audio: Duration | None = setting(
        None, "Remove the audio of recordings that were finished so long ago, such as 30d; their "
        "text stays", env="STT_KEEP_AUDIO", unit="duration", shown_default="all is kept",
    )  # fmt: skip
