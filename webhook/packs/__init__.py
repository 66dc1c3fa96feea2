"""From the text of rule packs to a compiled Ruleset."""
