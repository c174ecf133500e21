"""Films: read frame by frame, enlarged, and written with the sound that they have."""
