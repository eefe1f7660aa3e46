"""A process of its own that lists all pods with the official client's typed models, as JSON."""

from __future__ import annotations

import json
import sys
import time

from kubernetes import client, config

from bench.process import peak_bytes


def main(kubeconfig: str) -> None:
    """List the pods of the cluster of a kubeconfig and report."""
    config.load_kube_config(config_file=kubeconfig)
    core = client.CoreV1Api()
    started = time.perf_counter()
    pods = core.list_pod_for_all_namespaces().items
    seconds = time.perf_counter() - started
    report = {"seconds": seconds, "pods": len(pods), "peak_bytes": peak_bytes("self")}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
