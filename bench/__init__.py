"""What a span costs: us and other collectors on the same load, one after another in one run. See README.md."""
