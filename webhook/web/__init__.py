"""The server: Flask on gunicorn over TLS, and a small process beside it for probes and figures."""
