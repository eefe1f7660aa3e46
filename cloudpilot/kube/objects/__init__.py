"""Projections: of each kind what some question needs, decoded straight from the server's bytes.

Unknown fields are skipped, so that 10,000 pods fit in tens of megabytes. Field names follow the
API.
"""
