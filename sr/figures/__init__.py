"""The papers' figures, each by one function and one command: sr figure figure=<name>."""
