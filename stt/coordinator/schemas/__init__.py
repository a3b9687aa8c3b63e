"""The JSON that routes take and answer with, apart from the messages of `stt.remote.messages`."""
