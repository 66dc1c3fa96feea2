"""What other policy engines have, as rule packs: read it, say it here if it can be said exactly, or say why not."""
