"""Builds the programs of the test bed with Go: `python -m tests.controlplane.build`.

They go into a cache folder outside the tree, named by their versions; what is there is kept.
Manifests are copied out of the Go module cache, so that starting a cluster needs no Go.
"""

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.controlplane.assets import (
    ISTIO_CRDS,
    KWOK_CRDS,
    KWOK_MODULE,
    KWOK_STAGES,
    MODULE,
    Assets,
    AssetsMissing,
    assets_directory,
    module_version,
)

logger = logging.getLogger(__name__)

PACKAGES = {
    "etcd": (MODULE, "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": (MODULE, "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-scheduler": (MODULE, "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kube-controller-manager": (MODULE, "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kubectl": (MODULE, "k8s.io/kubernetes/cmd/kubectl"),
    "kwok": (KWOK_MODULE, "sigs.k8s.io/kwok/cmd/kwok"),
}
KWOK_KINDS = ("stages", "logs", "clusterlogs")


def build(assets: Assets) -> None:
    """Make everything that is missing; a second builder waits for the first and finds it done."""
    if not assets.missing():
        return
    if shutil.which("go") is None:
        raise AssetsMissing(
            f"{assets.directory} lacks {', '.join(assets.missing())}, and Go is not on PATH to "
            "build them; install Go or point KUBEBUILDER_ASSETS at a folder that holds them"
        )
    assets.directory.mkdir(parents=True, exist_ok=True)
    with _locked(assets.directory):
        for name in assets.missing():
            started = time.monotonic()
            logger.info("building %s", name)
            with _replacing(assets.path(name)) as target:
                _make(name, target)
            logger.info("built %s in %.0f s", name, time.monotonic() - started)


def _make(name: str, target: Path) -> None:
    if name in PACKAGES:
        _compile(*PACKAGES[name], target)
    elif name == ISTIO_CRDS:
        crds = _module_folder(MODULE, "istio.io/api") / "kubernetes"
        shutil.copyfile(crds / "customresourcedefinitions.gen.yaml", target)
    elif name == KWOK_CRDS:
        bases = _module_folder(KWOK_MODULE, "sigs.k8s.io/kwok") / "kustomize/crd/bases"
        _join([bases / f"kwok.x-k8s.io_{kind}.yaml" for kind in KWOK_KINDS], target)
    elif name == KWOK_STAGES:
        stages = _module_folder(KWOK_MODULE, "sigs.k8s.io/kwok") / "kustomize/stage/fast"
        _join(list(_resources(stages)), target)


def _compile(module: Path, package: str, target: Path) -> None:
    version = module_version("k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamp = "k8s.io/component-base/version.git"
    flags = f"-s -w -X {stamp}Version={version} -X {stamp}Major={major} -X {stamp}Minor={minor}"
    # fmt: off
    _go(module, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags,
        "-o", str(target), package)
    # fmt: on


def _module_folder(module: Path, path: str) -> Path:
    _go(module, "mod", "download", path)
    return Path(_go(module, "list", "-m", "-f", "{{.Dir}}", path).strip())


def _go(module: Path, *arguments: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        ["go", *arguments], cwd=module, env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"`go {arguments[0]}` failed in {module}")
    return done.stdout


def _resources(folder: Path) -> Iterator[Path]:
    """The files that a kustomization lists, through its bases."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    for entry in listed:
        path = (folder / entry).resolve()
        if path.is_dir():
            yield from _resources(path)
        else:
            yield path


def _join(sources: list[Path], target: Path) -> None:
    target.write_text("\n---\n".join(source.read_text() for source in sources))


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name to write to that becomes the path only when all is written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Build, tell how it goes, and name the folder."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    assets = assets_directory()
    try:
        build(assets)
    except AssetsMissing as missing:
        logger.error("%s", missing)
        return 3
    logger.info("ready: %s", assets.directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
