"""Run folders: lock, checkpoint, resume, what is read back from them and in what they differ."""
