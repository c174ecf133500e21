"""What the entry scripts at the top level do: compose, check, build, run."""
