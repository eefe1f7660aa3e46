"""The HTTP door; with `integrations`, the only place that imports FastAPI."""
