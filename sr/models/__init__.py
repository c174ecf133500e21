"""The architectures, one file each, and the base class that they share."""
