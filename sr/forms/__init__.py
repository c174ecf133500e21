"""The forms of a trained network: those in which it runs here, and those in which it is written for other programs."""
