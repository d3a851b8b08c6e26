"""Others doing the same work, each written as its documentation says: ``make bench-peers``."""
