"""The parts of `gpu.sh`: see `__main__`."""
