"""A trained network at work: pictures of any size enlarged as the whole picture would be."""
