"""CloudPilot's own records; the only place that imports SQLAlchemy."""
