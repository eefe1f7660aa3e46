"""A component that ends by itself is reported with what it said last."""

import time
from pathlib import Path

import pytest

from tests.controlplane.processes import Component, ComponentDied


def check_until(component: Component, timeout_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        component.check()
        time.sleep(0.01)


def test_dead_component_is_named_with_its_last_words(tmp_path: Path) -> None:
    component = Component("etcd", ["/bin/sh", "-c", "echo no space left; exit 3"], tmp_path)
    component.start()
    with pytest.raises(ComponentDied, match="etcd ended with 3:\nno space left"):
        check_until(component)


def test_killed_component_is_no_failure_and_can_start_again(tmp_path: Path) -> None:
    component = Component("kwok", ["/bin/sh", "-c", "exec sleep 60"], tmp_path)
    component.start()
    first = component.pid
    component.kill()
    component.check()
    component.start()
    try:
        assert component.pid not in (None, first)
    finally:
        component.kill()
