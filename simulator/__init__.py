"""A simulated Kubernetes cluster: an in-process API server and the scenes it plays.

The demo and most tests run on it through the same client path as on a real cluster. The contract
tests in `tests/contracts/kubernetes_api` run against it and against a real kube-apiserver.
"""

from simulator.cluster import SimulatedCluster
from simulator.scene import many

__all__ = ["SimulatedCluster", "many"]
