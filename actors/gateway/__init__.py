"""Health, metrics and the HTTP API."""
