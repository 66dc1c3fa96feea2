"""Advice on packs that load: what is hardly meant. `plimsoll lint` prints it; who applies a pack is warned of it."""
