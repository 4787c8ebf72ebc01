"""Prometheus' data model and formats: what everyone who speaks them shares. Pure functions, no I/O, no settings."""
