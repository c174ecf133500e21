"""The papers' figures, each by one function and one command: python figure.py figure=<name>."""
