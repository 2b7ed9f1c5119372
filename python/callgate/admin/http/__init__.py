"""The admin port over HTTP: who asks, pages for people, the REST face, live events."""
