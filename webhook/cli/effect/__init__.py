"""What changes between two versions of a pack: the objects to ask about, the comparison, and how it is shown."""
