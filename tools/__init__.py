"""What the makefile does that is more than a line. Nothing of it is in a wheel."""
