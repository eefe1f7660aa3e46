"""How each program of the control plane is started: its flags, and why the unusual ones.

Everything listens on loopback; everything a program writes lies in the cluster's folder.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane import audit
from tests.controlplane.access import Access
from tests.controlplane.assets import Assets
from tests.controlplane.certificates import LOOPBACK, Certificates
from tests.controlplane.processes import Component, free_ports

SERVICE_RANGE = "10.0.0.0/16"
POD_RANGE = "10.64.0.1/10"
CLIENT_LIMITS = ("--kube-api-qps=500", "--kube-api-burst=1000")
# Longer than a busy machine stalls, and a thousand nodes renew their leases less often.
NODE_LEASE_SECONDS = 240
NODE_GRACE = "10m"


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one cluster."""

    etcd: int
    etcd_peer: int
    apiserver: int
    kubelet: int

    @classmethod
    def choose(cls) -> "Ports":
        """Four that are free now."""
        return cls(*free_ports(4))


@dataclass(frozen=True)
class Programs:
    """Builds the components of one cluster; none is running yet."""

    assets: Assets
    directory: Path
    ports: Ports
    certificates: Certificates
    access: Access

    def all(self) -> dict[str, Component]:
        """The five programs by name, in the order in which they start."""
        arguments = {
            "etcd": self._etcd(),
            "kube-apiserver": self._apiserver(),
            "kube-controller-manager": self._controller_manager(),
            "kube-scheduler": self._scheduler(),
            "kwok": self._kwok(),
        }
        return {
            name: Component(name, [str(self.assets.path(name)), *flags], self.directory)
            for name, flags in arguments.items()
        }

    def _etcd(self) -> list[str]:
        client = f"http://{LOOPBACK}:{self.ports.etcd}"
        peer = f"http://{LOOPBACK}:{self.ports.etcd_peer}"
        return [
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8000000000",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        policy = self.directory / "audit-policy.json"
        policy.write_text(json.dumps(audit.POLICY))
        signing_key = self.certificates.service_account_key
        return [
            f"--etcd-servers=http://{LOOPBACK}:{self.ports.etcd}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self.ports.apiserver}",
            f"--tls-cert-file={self.certificates.serving}",
            f"--tls-private-key-file={self.certificates.serving_key}",
            f"--cert-dir={self.directory / 'apiserver'}",
            f"--token-auth-file={self.access.token_file}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-signing-key-file={signing_key}",
            f"--service-account-key-file={signing_key}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            # It refuses to publish a loopback address as the endpoint of service kubernetes.
            "--endpoint-reconciler-type=none",
            # A node's name does not resolve; its address is kwok's.
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            "--max-requests-inflight=3000",
            "--max-mutating-requests-inflight=1000",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.directory / 'audit.log'}",
            "--audit-log-maxsize=0",
            "--profiling=false",
        ]

    def _controller_manager(self) -> list[str]:
        return [
            *self._client_flags("kube-controller-manager"),
            f"--service-account-private-key-file={self.certificates.service_account_key}",
            f"--root-ca-file={self.certificates.authority}",
            f"--node-monitor-grace-period={NODE_GRACE}",
        ]

    def _scheduler(self) -> list[str]:
        return self._client_flags("kube-scheduler")

    def _client_flags(self, user: str) -> list[str]:
        kubeconfig = self.access.kubeconfig(user)
        return [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            "--secure-port=0",
            "--leader-elect=false",
            "--profiling=false",
            *CLIENT_LIMITS,
        ]

    def _kwok(self) -> list[str]:
        return [
            f"--kubeconfig={self.access.kubeconfig('kwok')}",
            "--manage-all-nodes=true",
            # Stages and logs are objects of the cluster: a test adds and removes its own.
            "--enable-crds=Stage,Logs,ClusterLogs",
            f"--cidr={POD_RANGE}",
            f"--node-lease-duration-seconds={NODE_LEASE_SECONDS}",
            f"--node-ip={LOOPBACK}",
            f"--node-port={self.ports.kubelet}",
            f"--server-address={LOOPBACK}:{self.ports.kubelet}",
            f"--tls-cert-file={self.certificates.serving}",
            f"--tls-private-key-file={self.certificates.serving_key}",
        ]
