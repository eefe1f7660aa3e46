"""The configuration: the only reader of the environment, of `.yaml` files and of their names.

Precedence: command line > environment > YAML > default. Unknown keys refuse to start and name the
nearest known one. `config.example.yaml` is generated from the docstrings here.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from cloudpilot.errors import SettingsError


class Mode(StrEnum):
    """How CloudPilot runs: beside many clusters, or inside one."""

    SERVER = "server"
    INSTANT = "instant"


class Section(BaseModel):
    """A section of the configuration; every field carries its unit, default and reason."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ServerSettings(Section):
    """Where CloudPilot listens and who may talk to it."""

    host: str = "127.0.0.1"
    """Address to bind. Anything but loopback needs a configured token."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port; 0 takes a free one. Instant mode is usually started with 8001."""
    token: SecretStr | None = None
    """Bearer token of the local human, 16 characters or more. Empty: random, printed once."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names accepted in the Host header beside localhost, 127.0.0.1, [::1] and `host`."""
    body_limit_bytes: int = Field(default=1_048_576, ge=1024)
    """Largest request body, in bytes; larger ones get 413."""
    shutdown_seconds: float = Field(default=10.0, ge=0)
    """How long a stop waits for running requests, in seconds."""


class LogSettings(Section):
    """What is logged and how."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is written (LOG_LEVEL; DEBUG=true means DEBUG)."""
    format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal and JSON lines elsewhere."""


class DatabaseSettings(Section):
    """Where CloudPilot keeps its own records. Never a copy of a cluster's objects."""

    url: str = "sqlite:///./cloudpilot.db"
    """SQLAlchemy URL (DATABASE_URL). Checkpoints lie beside it, as `<file>.checkpoints`."""
    key_file: Path = Path("./cloudpilot.key")
    """File with the key that seals stored cluster credentials; created with mode 0600 if absent."""


class KubernetesSettings(Section):
    """How CloudPilot reaches the cluster of instant mode, and how it treats every cluster."""

    in_cluster: bool | None = None
    """Use the Pod's own ServiceAccount (K8S_IN_CLUSTER). Empty: if there is one."""
    api_server: str | None = None
    """Address of an API server (K8S_API_SERVER), used together with `token`."""
    token: SecretStr | None = None
    """Bearer token for `api_server` (K8S_TOKEN)."""
    ca_file: Path | None = None
    """Certificate authority of `api_server`; empty: the system's."""
    kubeconfig: Path | None = None
    """The user's own kubeconfig (KUBECONFIG); empty: `~/.kube/config`."""
    context: str | None = None
    """Context of that kubeconfig; empty: its current one."""
    connect_seconds: float = Field(default=3.0, gt=0)
    """Deadline of a connection attempt, in seconds."""
    read_seconds: float = Field(default=10.0, gt=0)
    """Deadline of one request, in seconds; lists of many objects get a multiple of it."""
    poll_seconds: float = Field(default=30.0, gt=0)
    """How often a kind is listed again where watching it is forbidden, in seconds."""
    drift_seconds: float = Field(default=600.0, gt=0)
    """How often what is held of a kind is compared with the server's versions, in seconds."""
    idle_kind_seconds: float = Field(default=900.0, gt=0)
    """How long a kind that is mirrored on demand stays when nobody reads it, in seconds."""
    requests_per_second: float = Field(default=20.0, gt=0)
    """Most requests a second to one cluster, watches and probes included."""
    request_burst: int = Field(default=40, ge=1)
    """Most requests at once to one cluster after a quiet time."""
    allow_loopback: bool | None = None
    """Whether a registered cluster may be on loopback. Empty: if CloudPilot itself is."""


class SamplesSettings(Section):
    """What is remembered of usage: each minute a sample of nodes, namespaces and workloads."""

    enabled: bool = True
    """Take samples. Without them there is no usage history."""
    minute_hours: int = Field(default=24, ge=1, le=168)
    """How long every sample is kept, in hours. 1,000 nodes with 1,000 workloads: 18 MB a day."""
    quarter_days: int = Field(default=30, ge=1, le=400)
    """How long mean and maximum of every 15 minutes are kept, in days. For those: 2 MB a day."""


class JournalSettings(Section):
    """The journal: what changed in each cluster, and when."""

    retention_days: int = Field(default=7, ge=1, le=365)
    """How long changes, Events and the last states of failed pods are kept, in days."""
    stored_entries: int = Field(default=500_000, ge=1_000)
    """Most changes, and most Events, that are stored of one cluster, some 300 bytes each; of pods
    that went away failing a hundredth of it."""
    ring_entries: int = Field(default=10_000, ge=100)
    """Most changes of one cluster in memory: what a slow database may fall behind."""
    inbox_deltas: int = Field(default=20_000, ge=100)
    """Most watch events of one cluster that wait to be looked at; more are counted as dropped."""
    log_tails_per_minute: int = Field(default=10, ge=0)
    """Most logs of failing pods that are read a minute, two at a time; 0 reads none."""


class LLMSettings(Section):
    """The language model. With none configured the rule-based offline model answers."""

    provider: Literal["auto", "openai", "offline"] = "auto"
    """`openai` is any compatible endpoint; `auto` is that if a key or base URL is set."""
    api_key: SecretStr | None = None
    """Key of the provider (LLM_API_KEY)."""
    model: str = "gpt-5-mini"
    """Name of the model (LLM_MODEL)."""
    base_url: str | None = None
    """Address of an OpenAI-compatible API (LLM_BASE_URL); https, or loopback."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Deadline of one model call, in seconds."""
    max_retries: int = Field(default=2, ge=0, le=5)
    """Further tries of a failed model call."""
    context_tokens: int = Field(default=120_000, ge=8_000)
    """The window the history is compacted to fit into, in tokens."""


class AgentSettings(Section):
    """Budgets of one run of the agent."""

    model_calls: int = Field(default=25, ge=1)
    """Most model calls a run."""
    tool_calls: int = Field(default=50, ge=1)
    """Most tool calls a run."""
    run_seconds: float = Field(default=300.0, gt=0)
    """Deadline of a run, in seconds."""
    tool_seconds: float = Field(default=30.0, gt=0)
    """Deadline of one operation, in seconds."""
    result_tokens: int = Field(default=4_000, ge=200)
    """Most tokens of one tool result that the model sees; what is cut off is said."""
    open_plans: int = Field(default=5, ge=1)
    """Most undecided plans a thread."""


class DemoSettings(Section):
    """The simulated cluster that `--demo` adds."""

    enabled: bool = False
    """Add the simulated cluster."""
    scene: str = "shop"
    """Scene it plays, a file of `simulator/scenes/`."""
    speed: float = Field(default=1.0, gt=0)
    """How fast its faults develop; 2 is twice as fast."""


class Settings(Section):
    """The whole configuration, validated and frozen."""

    mode: Mode = Mode.SERVER
    """`server`: many clusters, registered over REST. `instant`: the one cluster we run in."""
    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
    database: DatabaseSettings = DatabaseSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    samples: SamplesSettings = SamplesSettings()
    journal: JournalSettings = JournalSettings()
    llm: LLMSettings = LLMSettings()
    agent: AgentSettings = AgentSettings()
    demo: DemoSettings = DemoSettings()
    integrations: dict[str, dict[str, Any]] = {}
    """One section an integration, validated by that integration."""

    def redacted(self) -> dict[str, Any]:
        """Return the effective configuration as plain values; secrets show as asterisks."""
        values = self.model_dump(mode="json")
        for section, key in (("database", "url"), ("llm", "base_url")):
            if text := values[section][key]:
                values[section][key] = _PASSWORD.sub(rf"\1{_HIDDEN}", text)
        # Only the integration itself knows which of its values are secret.
        values["integrations"] = {
            name: dict.fromkeys(section, _HIDDEN) for name, section in self.integrations.items()
        }
        return values


_HIDDEN = "**********"
_PASSWORD = re.compile(r"(?i)(://[^/@:]*:|[?&][^=&]*(?:password|token|secret)=)[^/&]*(?=@|&|$)")


ENVIRONMENT = {
    "LOG_LEVEL": "log.level",
    "DATABASE_URL": "database.url",
    "K8S_IN_CLUSTER": "kubernetes.in_cluster",
    "K8S_API_SERVER": "kubernetes.api_server",
    "K8S_TOKEN": "kubernetes.token",
    "KUBECONFIG": "kubernetes.kubeconfig",
    "LLM_PROVIDER": "llm.provider",
    "LLM_API_KEY": "llm.api_key",
    "LLM_MODEL": "llm.model",
    "LLM_BASE_URL": "llm.base_url",
    "CLOUDPILOT_TOKEN": "server.token",
}
"""Environment names that do not follow `CLOUDPILOT_SECTION__KEY`, and the keys they set."""

_PREFIX = "CLOUDPILOT_"
_SERVICE_LINK = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT")


def load_settings(
    *,
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read and merge every source.

    Args:
        config: YAML file; None reads `config.yaml` of the working folder if it is there.
        overrides: Dotted keys from the command line, e.g. `{"server.port": 8001}`.
        environ: The environment; None is the process's own.

    Raises:
        SettingsError: a source cannot be read, a key is unknown or a value is wrong.
    """
    env = dict(os.environ if environ is None else environ)
    if config is None and Path("config.yaml").is_file():
        config = Path("config.yaml")
    merged = _read_yaml(config) if config else {}
    for key, value in _from_environment(env):
        _assign(merged, key, value)
    for key, value in (overrides or {}).items():
        if value is not None:
            _assign(merged, key, value)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise _explain(error) from None


def in_cluster_environment(environ: Mapping[str, str] | None = None) -> bool:
    """Say whether this process runs in a Pod, as client-go decides it."""
    env = os.environ if environ is None else environ
    return bool(env.get("KUBERNETES_SERVICE_HOST") and env.get("KUBERNETES_SERVICE_PORT"))


def quiet_tracing() -> None:
    """Switch off tracing that libraries start from the environment alone.

    With only LANGSMITH_* set, LangGraph would send every run's state to that endpoint.
    Strict msgpack keeps checkpoints from naming importable classes.
    """
    for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"):
        os.environ[name] = "false"
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"


def _from_environment(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    known = {key.upper().replace(".", "__"): key for key in known_keys()}
    if env.get("DEBUG", "").strip().lower() in {"1", "true", "yes", "on"}:
        yield "log.level", "DEBUG"
    for name, value in env.items():
        if not value.strip():
            continue
        if name in ENVIRONMENT:
            yield ENVIRONMENT[name], value.strip()
        elif name.startswith(_PREFIX):
            key = known.get(name.removeprefix(_PREFIX))
            if key is not None:
                yield key, value.strip()
            elif not _is_service_link(name):
                near = _nearest(name.removeprefix(_PREFIX), known)
                problem = "unknown environment variable" + _suggest(near, _PREFIX)
                raise SettingsError.field(name, problem)


def _is_service_link(name: str) -> bool:
    """Tell whether Kubernetes itself set this, for a Service that is called cloudpilot."""
    return name.endswith(_SERVICE_LINK) or "_PORT_" in name


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of the configuration."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from known_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise SettingsError.field("--config", f"{str(path)!r} is not a file")
        if path.stat().st_size > 1_000_000:
            raise SettingsError.field("--config", f"{str(path)!r} is larger than 1 MB")
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = _yaml_reason(error)
        raise SettingsError.field("--config", f"{str(path)!r} cannot be read: {reason}") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SettingsError.field("--config", f"{str(path)!r} must hold a mapping of sections")
    return {name: section for name, section in loaded.items() if section is not None}


def _yaml_reason(error: Exception) -> str:
    """Say what is wrong and where, without the line itself: it may hold a secret."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    mark = error.problem_mark
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{error.problem or error.context}{where}"


def _assign(target: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError.field(section, "must be a mapping")
        target = inner
    target[last] = value


def _explain(error: ValidationError) -> SettingsError:
    fields = []
    for item in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in item["loc"])
        problem = item["msg"]
        if item["type"] == "extra_forbidden":
            problem = "unknown key" + _suggest(_nearest(name, known_keys()))
        fields.append({"field": name, "problem": problem})
    text = "; ".join(f"{item['field']}: {item['problem']}" for item in fields)
    return SettingsError(text, hint="see config.example.yaml", details={"fields": fields})


def _nearest(name: str, names: Iterator[str] | Mapping[str, str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)), None)


def _suggest(name: str | None, prefix: str = "") -> str:
    return f"; did you mean {prefix}{name}?" if name else ""
