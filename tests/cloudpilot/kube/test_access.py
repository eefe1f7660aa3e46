"""TLS that is checked, the user's own kubeconfig in instant mode, and credentials that refresh."""

from __future__ import annotations

import base64
import datetime
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudpilot.errors import ClusterUnavailable, SettingsError
from cloudpilot.kube.access import Access, direct, instant, registered
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kubeconfig import Credentials
from cloudpilot.settings import KubernetesSettings
from simulator import SimulatedCluster
from tests.fakes.scripted_server import Reply, ScriptedServer
from tests.fakes.tls_proxy import Authority


async def version(access: Access) -> int:
    client = KubeClient(access, connect_seconds=3, read_seconds=5)
    try:
        return (await client.request("GET", "/version")).status
    finally:
        await client.close()


def trusting(url: str, authority: str | None, folder: Path, **more: Any) -> Access:
    credentials = Credentials(url, token="a-token", ca_data=authority, **more)
    return registered(credentials, folder, allow_loopback=True)


# -- TLS ----------------------------------------------------------------------------------------


async def test_certificate_of_the_given_authority_is_accepted(tmp_path: Path) -> None:
    authority = Authority()
    tls = authority.server_context("127.0.0.1")
    async with ScriptedServer(lambda _asked: Reply({}), tls) as server:
        assert await version(trusting(server.url, authority.pem, tmp_path)) == 200


async def test_server_name_of_the_kubeconfig_is_what_is_checked(tmp_path: Path) -> None:
    authority = Authority()
    tls = authority.server_context("kubernetes.example.com")
    async with ScriptedServer(lambda _asked: Reply({}), tls) as server:
        access = trusting(
            server.url, authority.pem, tmp_path, tls_server_name="kubernetes.example.com"
        )
        assert await version(access) == 200


@pytest.mark.parametrize(
    ("names", "expired", "trusted", "why"),
    [
        (("127.0.0.1",), False, "another", "unable to get local issuer|self.signed|signature"),
        (("127.0.0.1",), False, None, "unable to get local issuer|self.signed"),
        (("127.0.0.1",), True, "own", "expired"),
        (("10.0.0.1",), False, "own", "IP address mismatch"),
        (("example.com",), False, "own", "IP address mismatch"),
        ((), False, "own", "IP address mismatch|match"),
    ],
)
async def test_bad_certificate_is_named_and_nothing_is_sent(
    tmp_path: Path, names: tuple[str, ...], expired: bool, trusted: str | None, why: str
) -> None:
    authority = Authority()
    pem = {"own": authority.pem, "another": Authority("another").pem, None: None}[trusted]
    tls = authority.server_context(*names, expired=expired)
    async with ScriptedServer(lambda _asked: Reply({}), tls) as server:
        with pytest.raises(ClusterUnavailable, match=why):
            await version(trusting(server.url, pem, tmp_path))
        assert server.requests == []


async def test_plain_http_server_behind_https_is_unavailable(
    tmp_path: Path, simulated: SimulatedCluster
) -> None:
    url = simulated.url.replace("http://", "https://")
    with pytest.raises(ClusterUnavailable):
        await version(trusting(url, Authority().pem, tmp_path))


async def test_client_certificate_is_shown_and_its_files_are_private(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue("someone")
    tls = authority.server_context("127.0.0.1")
    tls.verify_mode = 2  # type: ignore[assignment]
    tls.load_verify_locations(cadata=authority.pem)
    async with ScriptedServer(lambda _asked: Reply({}), tls) as server:
        credentials = Credentials(
            server.url, ca_data=authority.pem, client_cert=certificate, client_key=key
        )
        access = registered(credentials, tmp_path / "files", allow_loopback=True)
        assert await version(access) == 200
        with pytest.raises(ClusterUnavailable):
            await version(trusting(server.url, authority.pem, tmp_path))
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "files").iterdir()}
    assert modes == {0o600}


# -- instant mode -------------------------------------------------------------------------------


async def test_address_and_token_of_the_environment_are_used(simulated: SimulatedCluster) -> None:
    settings = KubernetesSettings(api_server=simulated.url, token=simulated.token)
    assert await version(await instant(settings)) == 200


async def test_address_without_token_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"kubernetes\.token"):
        await instant(KubernetesSettings(api_server="https://example.com"))


async def test_token_with_a_line_break_is_refused() -> None:
    settings = KubernetesSettings(api_server="https://example.com", token="a-token\nX: y")
    with pytest.raises(SettingsError, match=r"kubernetes\.token"):
        await instant(settings)


async def test_missing_authority_file_is_named() -> None:
    settings = KubernetesSettings(
        api_server="https://example.com", token="a-token", ca_file=Path("/does/not/exist")
    )
    with pytest.raises(SettingsError, match=r"kubernetes\.ca_file"):
        await instant(settings)


async def test_demanded_service_account_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match=r"kubernetes\.in_cluster"):
        await instant(KubernetesSettings(in_cluster=True))


async def test_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        await instant(KubernetesSettings(kubeconfig=tmp_path / "none"))


def written(folder: Path, server: str, user: dict[str, Any], **cluster: Any) -> KubernetesSettings:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "one", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return KubernetesSettings(kubeconfig=path)


async def test_own_kubeconfig_is_used(tmp_path: Path, simulated: SimulatedCluster) -> None:
    access = await instant(written(tmp_path, simulated.url, {"token": simulated.token}))
    assert await version(access) == 200
    assert str(tmp_path) in access.source


async def test_authority_and_client_certificate_of_the_own_kubeconfig_are_used(
    tmp_path: Path,
) -> None:
    authority = Authority()
    tls = authority.server_context("127.0.0.1")
    async with ScriptedServer(lambda _asked: Reply({}), tls) as server:
        data = base64.b64encode(authority.pem.encode()).decode()
        settings = written(
            tmp_path, server.url, {"token": "x"}, **{"certificate-authority-data": data}
        )
        assert await version(await instant(settings)) == 200


@pytest.mark.parametrize(
    "text", ["", "[]", "a: [", "7", "clusters: 7\ncurrent-context: x", "current-context: gone"]
)
async def test_unusable_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"kubernetes\.kubeconfig"):
        await instant(KubernetesSettings(kubeconfig=path))


def plugin(folder: Path, token: str, lifetime_seconds: int | None) -> dict[str, Any]:
    """A credential plugin that counts its runs and numbers its tokens."""
    expiry = ""
    if lifetime_seconds is not None:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=lifetime_seconds)
        expiry = f', "expirationTimestamp": "{until:%Y-%m-%dT%H:%M:%SZ}"'
    script = folder / "plugin"
    script.write_text(
        f"""#!/bin/sh
echo run >> {folder}/runs
cat <<END
{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
  "status": {{"token": "{token}"{expiry}}}}}
END
"""
    )
    script.chmod(0o700)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script)}
    return {"exec": command | {"interactiveMode": "Never"}}


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


async def test_exec_plugin_of_the_own_kubeconfig_gives_the_token(
    tmp_path: Path, simulated: SimulatedCluster
) -> None:
    user = plugin(tmp_path, simulated.token, 3600)
    access = await instant(written(tmp_path, simulated.url, user))
    for _ in range(3):
        assert await version(access) == 200
    assert runs(tmp_path) == 1


async def test_token_without_an_end_is_not_fetched_for_every_request(
    tmp_path: Path, simulated: SimulatedCluster
) -> None:
    user = plugin(tmp_path, simulated.token, None)
    access = await instant(written(tmp_path, simulated.url, user))
    for _ in range(3):
        assert await version(access) == 200
    assert runs(tmp_path) == 1


async def test_expiring_token_of_an_exec_plugin_is_refreshed(
    tmp_path: Path, simulated: SimulatedCluster
) -> None:
    user = plugin(tmp_path, "a-token-that-is-too-old", 1)
    access = await instant(written(tmp_path, simulated.url, user))
    plugin(tmp_path, simulated.token, 3600)
    assert await version(access) == 200
    assert runs(tmp_path) == 2


async def test_exec_plugin_that_fails_later_is_unavailable(
    tmp_path: Path, simulated: SimulatedCluster
) -> None:
    access = await instant(written(tmp_path, simulated.url, plugin(tmp_path, simulated.token, 1)))
    (tmp_path / "plugin").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ClusterUnavailable, match="exec plugin"):
        await version(access)


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 3\n", "#!/bin/sh\necho nonsense\n", None])
async def test_exec_plugin_that_fails_is_named(tmp_path: Path, script: str | None) -> None:
    user = plugin(tmp_path, "x", None)
    if script is None:
        (tmp_path / "plugin").unlink()
    else:
        (tmp_path / "plugin").write_text(script)
    with pytest.raises(SettingsError, match="exec plugin"):
        await instant(written(tmp_path, "https://example.com", user))


def test_direct_access_sends_the_token_given() -> None:
    access = direct("https://example.com/", "a-token")
    assert access.configuration.host == "https://example.com"
