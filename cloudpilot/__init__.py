"""The core of CloudPilot: importable, namespaced, knows nothing of models, HTTP or Slack."""
