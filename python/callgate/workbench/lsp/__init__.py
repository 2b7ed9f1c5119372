"""The language server: what is at a place of a document, and what may be there."""
