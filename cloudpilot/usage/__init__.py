"""Usage of CPU and memory, sampled each minute and kept."""
