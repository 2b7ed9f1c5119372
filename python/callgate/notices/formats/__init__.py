"""The forms of messages: a file for each."""
