"""OTTL's functions: editors, which change telemetry, and converters, which compute values."""
