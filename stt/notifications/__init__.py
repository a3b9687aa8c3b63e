"""Notifications of recordings that are done: webhooks and commands."""
