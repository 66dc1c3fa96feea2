"""A real control plane, a real kubectl and a real Plimsoll, for the end-to-end tests."""
