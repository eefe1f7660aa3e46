"""The core of CloudPilot: importable, namespaced, knows nothing of models, HTTP or Slack."""

__version__ = "0.1.0"
