"""The body of reviews, and the judge of it, with which compiled and plain code are compared."""
