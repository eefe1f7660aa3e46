"""The time machine of a cluster: what changed, when and by whom, in memory and in the database."""
