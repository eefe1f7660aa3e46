"""How objects hang together, answered from the mirror: owners, selections, everything related."""
