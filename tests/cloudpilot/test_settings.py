"""The configuration: who wins, what is refused and named, and what is never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cloudpilot.errors import SettingsError
from cloudpilot.settings import (
    ENVIRONMENT,
    Mode,
    Settings,
    in_cluster_environment,
    known_keys,
    load_settings,
    quiet_tracing,
)


def value(settings: Settings, key: str) -> Any:
    found: Any = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found.get_secret_value() if hasattr(found, "get_secret_value") else found


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("key", "variable", "yaml", "environment", "command_line", "default"),
    [
        ("server.port", "CLOUDPILOT_SERVER__PORT", 1111, "2222", 3333, 8000),
        ("server.host", "CLOUDPILOT_SERVER__HOST", "::1", "127.0.0.2", "localhost", "127.0.0.1"),
        ("server.token", "CLOUDPILOT_TOKEN", "y" * 16, "e" * 16, "c" * 16, None),
        ("log.level", "LOG_LEVEL", "WARNING", "ERROR", "DEBUG", "INFO"),
        ("database.url", "DATABASE_URL", "sqlite:///y", "sqlite:///e", "sqlite:///c",
         "sqlite:///./cloudpilot.db"),
        ("llm.model", "LLM_MODEL", "y", "e", "c", "gpt-5-mini"),
        ("kubernetes.poll_seconds", "CLOUDPILOT_KUBERNETES__POLL_SECONDS", 1.0, "2", 3.0, 30.0),
        ("mode", "CLOUDPILOT_MODE", "instant", "server", "instant", Mode.SERVER),
    ],
)  # fmt: skip
def test_command_line_beats_environment_beats_yaml_beats_default(
    tmp_path: Path,
    key: str,
    variable: str,
    yaml: Any,
    environment: str,
    command_line: Any,
    default: Any,
) -> None:
    section, _, name = key.rpartition(".")
    text = f"{section}:\n  {name}: {yaml!r}\n" if section else f"{name}: {yaml!r}\n"
    config = written(tmp_path, text)
    overrides = {key: command_line}
    env = {variable: environment}

    def load(**given: Any) -> Any:
        return value(load_settings(**{"environ": {}} | given), key)

    assert load() == default
    assert load(config=config) == yaml
    assert str(load(config=config, environ=env)) in (environment, f"{environment}.0")
    assert load(config=config, environ=env, overrides=overrides) == command_line
    assert load(config=config, overrides={key: None}) == yaml


def test_every_documented_variable_sets_a_known_key() -> None:
    assert set(ENVIRONMENT.values()) <= set(known_keys())


@pytest.mark.parametrize(
    ("environ", "level"),
    [({"DEBUG": "true"}, "DEBUG"), ({"DEBUG": "1"}, "DEBUG"), ({"DEBUG": "false"}, "INFO"),
     ({"DEBUG": ""}, "INFO"), ({"DEBUG": "true", "LOG_LEVEL": "ERROR"}, "ERROR")],
)  # fmt: skip
def test_debug_means_the_debug_level(environ: dict[str, str], level: str) -> None:
    assert load_settings(environ=environ).log.level == level


def refused(**given: Any) -> SettingsError:
    with pytest.raises(SettingsError) as raised:
        load_settings(**{"environ": {}} | given)
    return raised.value


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("serverr: {port: 1}", "server.port"),
        ("server: {prot: 1}", "server.port"),
        ("server: {Port: 1}", "server.port"),
        ("database: {uri: x}", "database.url"),
        ("llm: {apikey: x}", "llm.api_key"),
        ("agent: {model_call: 1}", "agent.model_calls"),
    ],
)
def test_unknown_key_of_the_file_names_the_nearest(tmp_path: Path, text: str, nearest: str) -> None:
    error = refused(config=written(tmp_path, text))
    [field] = error.details["fields"]
    assert "unknown key" in field["problem"]
    assert nearest.split(".")[0] in field["problem"]
    if "serverr" not in text:
        assert nearest in field["problem"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CLOUDPILOT_SERVER_PROT", "CLOUDPILOT_SERVER__PORT"),
        ("CLOUDPILOT_LLM__MODL", "CLOUDPILOT_LLM__MODEL"),
        ("CLOUDPILOT_LOG_LEVEL", "CLOUDPILOT_LOG__LEVEL"),
    ],
)
def test_unknown_variable_names_the_nearest(name: str, nearest: str) -> None:
    assert nearest in refused(environ={name: "x"}).message


def test_unknown_key_of_the_command_line_is_refused() -> None:
    assert "server.prot" in refused(overrides={"server.prot": 1}).message


def test_variables_of_a_service_named_cloudpilot_are_ignored() -> None:
    links = {
        "CLOUDPILOT_SERVICE_HOST": "10.0.0.1",
        "CLOUDPILOT_SERVICE_PORT": "8000",
        "CLOUDPILOT_SERVICE_PORT_HTTP": "8000",
        "CLOUDPILOT_PORT": "tcp://10.0.0.1:8000",
        "CLOUDPILOT_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "CLOUDPILOT_PORT_8000_TCP_PROTO": "tcp",
        "CLOUDPILOT_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    assert load_settings(environ=links) == load_settings(environ={})


@pytest.mark.parametrize("empty", ["", " ", "\t", "\n"])
def test_empty_variables_mean_unset(empty: str) -> None:
    assert load_settings(environ=dict.fromkeys(ENVIRONMENT, empty)) == load_settings(environ={})


def test_blanks_around_a_variable_are_dropped() -> None:
    assert value(load_settings(environ={"LLM_API_KEY": " a-key\n"}), "llm.api_key") == "a-key"


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("server.port", 70000),
        ("server.port", -1),
        ("server.port", "http"),
        ("log.level", "LOUD"),
        ("mode", "cluster"),
        ("kubernetes.connect_seconds", 0),
        ("kubernetes.poll_seconds", -1),
        ("kubernetes.in_cluster", "maybe"),
        ("agent.model_calls", 0),
        ("llm.provider", "someone"),
        ("server", "x"),
        ("integrations", "x"),
    ],
)
def test_wrong_value_is_refused_with_its_key_and_not_echoed(key: str, wrong: Any) -> None:
    error = refused(overrides={key: wrong})
    assert error.details["fields"][0]["field"].startswith(key)


def test_wrong_secret_is_not_echoed() -> None:
    error = refused(overrides={"server.token": ["c4nary"], "llm.api_key": {"a": "c4nary"}})
    assert "c4nary" not in f"{error!r} {error.details}"


@pytest.mark.parametrize(
    "content",
    [
        b"\tserver: 1",
        b"server: [",
        b"server: {port: 1",
        b"\xff\xfe",
        b"\x00",
        b"[]",
        b"text",
        b"7",
        b"a: 2024-99-99T99:99:99Z",
        b"[" * 20_000,
        b"!!python/object/apply:os.system [id]",
        b"--- {}\n--- {}\n",
        b"server: 1\n" + b"# x" * 400_000,
        b"server: no",
        b"server: []",
        b"1: 2",
        b"? [a]\n: b",
    ],
)
def test_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    assert refused(config=written(tmp_path, content)).message


def test_folder_fifo_and_absent_file_are_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo, tmp_path / "absent", Path("/dev/zero")):
        assert "is not a file" in refused(config=path).message


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "server:\nlog:\n", "{}"])
def test_empty_file_and_empty_sections_mean_defaults(tmp_path: Path, content: str) -> None:
    config = written(tmp_path, content)
    assert load_settings(config=config, environ={}) == load_settings(environ={})
    assert load_settings(config=config, environ={"LOG_LEVEL": "ERROR"}).log.level == "ERROR"


def test_broken_line_with_a_secret_is_not_shown(tmp_path: Path) -> None:
    error = refused(config=written(tmp_path, 'llm:\n  api_key: "c4nary" more\n  model: x\n'))
    assert "line 2" in error.message
    assert "c4nary" not in f"{error!r} {error.details}"


def test_shown_configuration_holds_no_secret() -> None:
    settings = load_settings(
        overrides={
            "server.token": "c4nary-1-0123456789",
            "kubernetes.token": "c4nary-2",
            "llm.api_key": "c4nary-3",
            "llm.base_url": "https://user:c4nary-4@llm.example.com/v1",
            "database.url": "postgresql://app:c4nary-5@db:5432/x?sslpassword=c4nary-6&a=b",
            "integrations": {"slack": {"bot_token": "c4nary-7"}},
        },
        environ={},
    )
    shown = settings.redacted()
    assert "c4nary" not in str(shown)
    assert shown["database"]["url"].startswith("postgresql://app:")
    assert shown["database"]["url"].endswith("&a=b")
    assert list(shown["integrations"]["slack"]) == ["bot_token"]
    assert load_settings(environ={}).redacted()["database"]["url"] == "sqlite:///./cloudpilot.db"


def test_pod_is_recognised_as_client_go_does() -> None:
    host, port = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
    assert in_cluster_environment({host: "10.0.0.1", port: "443"})
    assert not in_cluster_environment({host: "10.0.0.1"})
    assert not in_cluster_environment({host: "", port: ""})
    assert not in_cluster_environment({})


def test_tracing_of_the_environment_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
    for name in names:
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "false")
    quiet_tracing()
    assert {os.environ[name] for name in names} == {"false"}
    assert os.environ["LANGGRAPH_STRICT_MSGPACK"] == "true"
