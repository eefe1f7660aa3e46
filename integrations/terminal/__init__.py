"""The command line: its arguments, its commands and how they look on a terminal."""
