"""From CTranslate2's form of a Whisper to the form that mlx-whisper loads."""
