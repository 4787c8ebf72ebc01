"""The command line, as the Go collector's: its flags, its subcommands, its texts and its exit codes."""

from otelingest.cli.command import cli, main

__all__ = ["cli", "main"]
