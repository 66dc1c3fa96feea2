"""The scripts that complete commands, one module for each shell: from a Command to its text."""
