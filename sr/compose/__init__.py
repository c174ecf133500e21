"""From words on a command line to a checked config: the schema, checks, suggestions, image sets by name."""
