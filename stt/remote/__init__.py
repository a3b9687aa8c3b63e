"""The same queue through a coordinator: messages, requests, and the twin of `stt.store`."""
