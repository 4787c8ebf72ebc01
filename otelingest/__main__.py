"""`python -m otelingest` is the `otelingest` command."""

from otelingest.cli import main

if __name__ == "__main__":
    main()
