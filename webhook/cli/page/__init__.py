"""What `plimsoll explain` shows: the page of a check, that of a rule, and the trace of a review."""
