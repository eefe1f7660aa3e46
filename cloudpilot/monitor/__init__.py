"""Counters and summaries of a cluster that watch events keep up to date."""
