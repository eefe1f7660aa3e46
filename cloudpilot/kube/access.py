"""How a cluster is reached: address, TLS and credential, from each place they can come from.

Every access has a Configuration of its own; the official package's process-wide default is never
set, so no cluster's credential can leak into another's requests.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from cloudpilot.errors import ClusterUnavailable, SettingsError
from cloudpilot.kube.kubeconfig import Credentials
from cloudpilot.settings import KubernetesSettings, in_cluster_environment

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """A resolved way to one API server."""

    configuration: Any
    source: str
    """For people: where it came from."""
    trust_env: bool = False
    """Whether HTTP(S)_PROXY of the environment apply: only to the user's own clusters."""
    compress: bool = False
    """Whether answers are compressed: pays over a long line, costs both sides on a short one."""
    allow_loopback: bool | None = None
    """Whether names may resolve to this machine; None: addresses are trusted, unchecked."""

    async def authorization(self) -> str | None:
        """Return the Authorization header's value, refreshed if its time has come.

        Raises:
            ClusterUnavailable: the credential cannot be refreshed.
        """
        try:
            value = await self.configuration.get_api_key_with_prefix("BearerToken")
        except (OSError, kube_config.ConfigException) as error:
            raise ClusterUnavailable(f"the credential cannot be refreshed: {error}") from error
        return str(value) if value else None


def _configuration(host: str) -> Any:
    configuration = Configuration(host=host.rstrip("/"))
    configuration.retries = 0
    return configuration


def direct(server: str, token: str, *, ca_file: Path | None = None, source: str = "") -> Access:
    """Reach an API server at a trusted address with a bearer token."""
    configuration = _configuration(server)
    configuration.api_key["BearerToken"] = f"Bearer {token}"
    if ca_file is not None:
        configuration.ssl_ca_cert = str(ca_file)
    return Access(configuration, source or server)


def registered(credentials: Credentials, folder: Path, *, allow_loopback: bool) -> Access:
    """Reach a registered cluster with checked credentials.

    Args:
        credentials: As `kubeconfig.parse` returned them.
        folder: Private folder for the client certificate, which TLS wants as files.
        allow_loopback: Whether its name may resolve to this machine.
    """
    configuration = _configuration(credentials.server)
    if credentials.token:
        configuration.api_key["BearerToken"] = f"Bearer {credentials.token}"
    if credentials.ca_data:
        configuration.ca_cert_data = credentials.ca_data
    if credentials.client_cert and credentials.client_key:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration.cert_file = _private_file(folder / "client.crt", credentials.client_cert)
        configuration.key_file = _private_file(folder / "client.key", credentials.client_key)
    configuration.tls_server_name = credentials.tls_server_name
    return Access(configuration, "registered", compress=True, allow_loopback=allow_loopback)


async def instant(settings: KubernetesSettings) -> Access:
    """Reach the one cluster of instant mode: explicit address, own Pod, or the user's kubeconfig.

    Raises:
        SettingsError: none of them is usable.
    """
    if settings.api_server:
        token = settings.token.get_secret_value() if settings.token else ""
        if not token:
            raise SettingsError.field("kubernetes.token", "is needed together with api_server")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError.field("kubernetes.token", "must be one line of printable ASCII")
        _check_files("kubernetes.ca_file", settings.ca_file)
        return direct(
            settings.api_server, token, ca_file=settings.ca_file, source="kubernetes.api_server"
        )
    wanted = settings.in_cluster
    if wanted or (wanted is None and in_cluster_environment()):
        return _service_account()
    logger.warning("no ServiceAccount here: falling back to the local kubeconfig")
    return await _user_kubeconfig(settings)


def _service_account() -> Access:
    configuration = _configuration("https://kubernetes.default.svc")
    try:
        # Reads the token file anew every minute: bound tokens rotate.
        kube_config.load_incluster_config(configuration)
    except kube_config.ConfigException as error:
        raise SettingsError.field(
            "kubernetes.in_cluster", f"there is no usable ServiceAccount here: {error}"
        ) from None
    return Access(configuration, "the Pod's ServiceAccount")


async def _user_kubeconfig(settings: KubernetesSettings) -> Access:
    path = (settings.kubeconfig or Path("~/.kube/config")).expanduser()
    if not path.is_file():
        raise SettingsError.field(
            "kubernetes.kubeconfig",
            f"{str(path)!r} does not exist, and this is no Pod",
            hint="set KUBECONFIG, or K8S_API_SERVER with K8S_TOKEN, or start with --demo",
        )
    configuration = _configuration("https://localhost")
    try:
        loader = await kube_config.load_kube_config(
            config_file=str(path),
            context=settings.context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (
        kube_config.ConfigException,
        yaml.YAMLError,
        RecursionError,
        ValueError,
        OSError,
        AttributeError,
        TypeError,
    ) as error:
        raise SettingsError.field(
            "kubernetes.kubeconfig", f"{str(path)!r} cannot be used: {error}"
        ) from None
    configuration.retries = 0
    _check_files(
        "kubernetes.kubeconfig",
        configuration.ssl_ca_cert,
        configuration.cert_file,
        configuration.key_file,
    )
    if _has_exec(loader):
        _refresh_exec(configuration, loader, str(path))
    return Access(configuration, f"kubeconfig {path}", trust_env=True)


def _check_files(
    field: str, authority: Any, certificate: str | None = None, key: str | None = None
) -> None:
    """Find bad certificates now: the first request is too late to name where they came from."""
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError.field(field, f"holds an unusable certificate: {error}") from None


def _has_exec(loader: Any) -> bool:
    user: Any = getattr(loader, "_user", None)
    return user is not None and "exec" in user


def _refresh_exec(configuration: Any, loader: Any, path: str) -> None:
    """Refresh tokens of an exec plugin; the official loader runs it once and only logs failures."""
    if "BearerToken" not in configuration.api_key and not configuration.cert_file:
        raise SettingsError.field(
            "kubernetes.kubeconfig",
            f"the exec plugin of {path!r} gave no credential",
            hint="run the same kubectl command by hand to see its error",
        )

    async def refresh(target: Any) -> None:
        if getattr(loader, "exec_plugin_expiry", None) is None:
            return  # without an end it is kept; the loader would run the plugin every time
        if not await loader.load_from_exec_plugin():
            raise ClusterUnavailable("the kubeconfig's exec plugin failed")
        if getattr(loader, "token", None):
            target.api_key["BearerToken"] = loader.token

    configuration.refresh_api_key_hook = refresh


def _private_file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(content, encoding="ascii")
    return str(path)
