"""The commands of `plimsoll`, one file each."""
