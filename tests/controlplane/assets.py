"""Where the programs and manifests of the test bed lie, and what is missing of them.

Reads the environment for the whole test bed. Building what is missing is build.py's business.
"""

import hashlib
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

MODULE = Path(__file__).parent
KWOK_MODULE = MODULE / "kwok"
PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kwok",
)
ISTIO_CRDS = "istio-crds.yaml"
KWOK_CRDS = "kwok-crds.yaml"
KWOK_STAGES = "kwok-stages.yaml"
MANIFESTS = (ISTIO_CRDS, KWOK_CRDS, KWOK_STAGES)


class AssetsMissing(Exception):
    """The control plane cannot start here; the message is the reason a test is skipped with."""


@dataclass(frozen=True)
class Assets:
    """A folder that holds (or shall hold) every program and manifest."""

    directory: Path

    def path(self, name: str) -> Path:
        """Where the program or manifest of this name lies."""
        return self.directory / name

    def missing(self) -> list[str]:
        """The names of those that are not there."""
        return [name for name in (*PROGRAMS, *MANIFESTS) if not self.path(name).is_file()]


def assets_directory() -> Assets:
    """The folder the environment names, else the one in the user's cache for these versions."""
    ready = os.environ.get("KUBEBUILDER_ASSETS")
    if ready:
        return Assets(Path(ready))
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Assets(Path(cache) / "cloudpilot" / "controlplane" / _key())


def find_assets() -> Assets:
    """The assets when all are there; AssetsMissing with the reason otherwise."""
    assets = assets_directory()
    missing = assets.missing()
    if missing:
        raise AssetsMissing(
            f"{assets.directory} lacks {', '.join(missing)}; "
            "run `python -m tests.controlplane.build`"
        )
    return assets


def kubectl_path() -> Path | None:
    """The kubectl of the same version as the cluster, else the one on PATH, else None."""
    built = assets_directory().path("kubectl")
    if built.is_file():
        return built
    installed = shutil.which("kubectl")
    return Path(installed) if installed else None


def required_here() -> bool:
    """Whether missing assets are a failure: a CI run that could have built them."""
    return os.environ.get("CI", "").lower() == "true" and shutil.which("go") is not None


def module_version(path: str, module: Path = MODULE) -> str:
    """The version of a Go module that go.mod pins."""
    found = re.search(rf"^(?:require )?\s*{re.escape(path)} (v\S+)", _text(module), re.MULTILINE)
    if found is None:
        raise LookupError(f"{module}/go.mod does not require {path}")
    return found[1]


def _text(module: Path) -> str:
    return (module / "go.mod").read_text()


def _key() -> str:
    digest = hashlib.sha256()
    for source in ("go.mod", "go.sum", "kwok/go.mod", "kwok/go.sum"):
        digest.update((MODULE / source).read_bytes())
    return "-".join(
        (
            f"kubernetes-{module_version('k8s.io/kubernetes')}",
            f"kwok-{module_version('sigs.k8s.io/kwok', KWOK_MODULE)}",
            f"{platform.system()}-{platform.machine()}".lower(),
            digest.hexdigest()[:12],
        )
    )
