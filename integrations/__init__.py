"""Doors to other people's systems, one module each; they do not know one another."""
