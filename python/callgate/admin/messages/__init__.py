"""Parts of messages that all services use."""
