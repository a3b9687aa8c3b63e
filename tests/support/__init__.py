"""What several test modules share: servers, queues, audio."""
