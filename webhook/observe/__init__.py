"""What operators see of the server: figures for Prometheus and one structured log."""
