"""A trained network at work: pictures of any kind and size enlarged, as the whole picture would be."""
