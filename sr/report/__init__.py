"""Rows of figures and what is made of them."""
