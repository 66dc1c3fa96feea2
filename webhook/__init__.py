"""Plimsoll: a Kubernetes admission webhook that keeps a company's containerization standards."""

__version__ = "0.3.0"
