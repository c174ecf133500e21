"""Studies that people answer: the page that asks, and what its answers say."""
