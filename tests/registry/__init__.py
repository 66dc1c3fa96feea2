"""A real registry, images to push into it, and a registry with faults, for tests.

Whoever imports it has `tests`, `tests/e2e` and `tests/controlplane` on the path, as this directory's conftest does.
"""
