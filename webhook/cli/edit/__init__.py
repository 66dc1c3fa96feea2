"""Changing manifests in their own text: only what a fix changes is written anew, every other byte stays."""
