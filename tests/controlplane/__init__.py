"""A real Kubernetes control plane without containers, for tests and benchmarks."""
