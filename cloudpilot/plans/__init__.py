"""The transaction around every write: plan, dry run, diff, approval, apply, verify."""
