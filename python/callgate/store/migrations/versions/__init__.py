"""One file a revision. A revision that was released is not changed any more."""
