"""Authors' checkpoints: where they are, their checksums, how their keys map onto ours, what they must reach."""
