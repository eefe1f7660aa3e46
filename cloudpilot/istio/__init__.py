"""What Istio's objects mean: typed specs, admission rules, conflicts. Pure: no input or output."""
