"""The model that needs no model, asked about the demo's simulated cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.assistant import Assistant
from agent.offline import NOTICE, NOTICE_CHINESE
from agent.offline_question import Question
from cloudpilot.clusters import Cluster
from cloudpilot.kube.kinds import KINDS
from cloudpilot.runtime import Runtime
from cloudpilot.settings import load_settings
from simulator import SimulatedCluster
from tests.agent.conversation import ME, ask, assistant_with, only, read, read_thread
from tests.conftest import connect
from tools import toolsets


async def answer(runtime: Runtime, question: str, **where: Any) -> str:
    """Ask and return the answer."""
    async with assistant_with(runtime, None) as assistant:
        return await answer_of(assistant, question, **where)


async def answer_of(assistant: Assistant, question: str, **where: Any) -> str:
    """Ask this assistant and return the answer."""
    events = await ask(assistant, question, **where)
    assert only(events, "run_finished") == [{"status": "finished"}]
    return str(only(events, "answer")[0]["text"])


@pytest.fixture(scope="module")
async def shop_assistant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assistant]:
    """The offline model on the demo's cluster, for questions that change nothing there."""
    folder = tmp_path_factory.mktemp("shop")
    settings = load_settings(
        overrides={
            "database.url": f"sqlite:///{folder}/cloudpilot.db",
            "database.key_file": str(folder / "cloudpilot.key"),
        },
        environ={},
    )
    async with (
        SimulatedCluster("shop") as shop,
        Runtime.open(settings, toolsets()) as runtime,
        assistant_with(runtime, None) as assistant,
    ):
        await connect(runtime, shop)
        yield assistant


async def test_failing_pods_are_named_with_their_cause(
    runtime: Runtime, shop_cluster: Cluster
) -> None:
    text = await answer(runtime, "which pods are failing and why?")
    assert text.startswith(NOTICE)
    assert "3 pods are failing in cluster demo" in text
    assert "shop/cart-" in text
    assert "memory limit of 192Mi (OOMKilled, exit code 137)" in text
    assert "shop/storefront-" in text
    assert "ImagePullBackOff" in text


async def test_times_nobody_watched_are_named(runtime: Runtime, shop_cluster: Cluster) -> None:
    text = await answer(runtime, "what changed in the last hour?")
    begun = (await shop_cluster.journal.periods())[0].since
    assert "There is 1 gap in which nobody watched: " in text
    assert f" to {begun:%Y-%m-%d %H:%M}." in text


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("which pods are failing in shop?", "3 pods are failing in namespace shop of cluster demo"),
        ("anything broken in namespace payments?", "No pod is failing in namespace payments"),
        ("why is cart crashing?", "Cause: "),
        ("what is wrong with the storefront pod in shop?", "ImagePullBackOff"),
        ("status of ledger-0", "Pod payments/ledger-0 of cluster demo is Running"),
        ("how many pods are there in payments?", "There are 4 pods in namespace payments"),
        ("how many pods do we have?", "There are 32 pods in cluster demo; 3 failing."),
        ("list pods", "There are 32 pods in cluster demo; 3 failing"),
        ("are all nodes ready?", "3 of 3 nodes ready in cluster demo"),
        ("how is node worker-1?", "worker-1: Ready"),
        ("which namespaces are there?", "There are 8 namespaces"),
        ("how is the cluster?", "Cluster demo needs attention"),
        ("give me an overview", "Nodes: 3 of 3 ready"),
        ("which clusters are there?", "CloudPilot is connected to 1 cluster"),
        ("which clusters are there, is demo one?", "demo: synced (simulated)"),
        ("list the gateways", "2 Istio Gateways in cluster demo"),
        ("show gateway public-gateway in istio-system", "Gateway istio-system/public-gateway"),
        ("events of pod storefront in shop", "event "),
        ("what about namespace shop", "shop: Active, 13 pods, 3 failing pods"),
        ("status of pod nothing-like-it", "There is no pod whose name contains"),
        ("list pods in shpo", "Did you mean shop?"),
        ("how are nodes in cluster demo", "3 of 3 nodes ready"),
        ("sing me a song", "I did not understand that"),
        ("what can you do?", "I answer by rules, for example:"),
        ("show me the logs of cart", "I cannot do that yet"),
        ("scale cart to 5", "I cannot do that yet"),
        ("which pods run on worker-1?", "on node worker-1 of cluster demo"),
        ("which pods run on worker-9?", "there is no node 'worker-9'. Did you mean worker-"),
        ("which deployments are not ready?", "I only count deployments"),
        ("is the payments namespace healthy?", "payments: Active, 4 pods, 0 failing pods"),
        (
            "add port 8080 for host a.example.com to gateway public-gateway in istio-system",
            "cannot add a server",
        ),
        ("create a gateway in shop", "I need its name and at least one host"),
        ("create a gateway named web in shop for host a.example.com on port 443", "TLS secret"),
        ("delete the gateway", "I need its name and the namespace"),
        ("delete gateway nothing in shop", "That did not work: there is no gateway"),
    ],
)
async def test_plain_questions_are_answered_from_the_cluster(
    shop_assistant: Assistant, question: str, expected: str
) -> None:
    assert expected in await answer_of(shop_assistant, question)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("shop 命名空间有哪些 pod 出现故障？", "有 3 个 Pod 出现故障"),
        ("集群状态怎么样", "集群 demo 概览"),
        ("有几个节点", "3 个节点中有 3 个就绪"),
        ("列出命名空间", "共有 8 个命名空间"),
    ],
)
async def test_chinese_questions_are_answered_in_chinese(
    shop_assistant: Assistant, question: str, expected: str
) -> None:
    text = await answer_of(shop_assistant, question)
    assert text.startswith(NOTICE_CHINESE)
    assert expected in text


async def test_the_selected_namespace_is_meant_unless_another_is_named(
    runtime: Runtime, shop_cluster: Cluster
) -> None:
    text = await answer(runtime, "how many pods?", namespace="payments")
    assert "There are 4 pods in namespace payments" in text
    text = await answer(runtime, "how many pods in all namespaces?", namespace="payments")
    assert "There are 32 pods in cluster demo" in text


async def test_without_a_cluster_the_answer_says_so(runtime: Runtime) -> None:
    text = await answer(runtime, "which pods are failing?")
    assert "That did not work: cluster: name one of: none is registered" in text


async def test_a_gateway_is_created_after_approval(runtime: Runtime, shop_cluster: Cluster) -> None:
    wish = "create a gateway named web in shop for host web.example.com on port 8080"
    async with assistant_with(runtime, None) as assistant:
        started = await assistant.start(wish, actor=ME)
        events = await read(assistant, started)
        plan = only(events, "approval_required")[0]["plan"]
        await runtime.plans.approve(plan["id"], plan["digest"], ME)
        rest = await read_thread(assistant, started.thread_id, after=events[-1].seq)
    written = await shop_cluster.client.get(KINDS["Gateway"], "web", "shop")
    assert written["spec"]["servers"] == [
        {
            "port": {"number": 8080, "name": "http-8080", "protocol": "HTTP"},
            "hosts": ["web.example.com"],
        }
    ]
    text = only(rest, "answer")[0]["text"]
    assert text.startswith(f"{NOTICE}\n\nDone: create Gateway shop/web")


@pytest.mark.parametrize(
    ("wish", "verb"),
    [
        ("delete gateway payments-gateway in payments", "delete"),
        ("add host pay.example.com to gateway payments-gateway in payments", "update"),
        (
            "change the host of gateway payments-gateway in payments to pay.example.com",
            "update",
        ),
    ],
)
async def test_a_denied_change_is_said_not_to_be_done(
    runtime: Runtime, shop_cluster: Cluster, wish: str, verb: str
) -> None:
    async with assistant_with(runtime, None) as assistant:
        started = await assistant.start(wish, actor=ME)
        events = await read(assistant, started)
        plan = only(events, "approval_required")[0]["plan"]
        assert plan["verb"] == verb
        await runtime.plans.deny(plan["id"], ME, "not today")
        rest = await read_thread(assistant, started.thread_id, after=events[-1].seq)
    text = only(rest, "answer")[0]["text"]
    assert "Not done: " in text
    assert "denied: nothing was written (denied: not today)" in text


@pytest.mark.parametrize(
    ("text", "namespace", "pod"),
    [
        ("which pods are failing in shop?", "shop", None),
        ("pods in the shop namespace", "shop", None),
        ("pods -n kube-system", "kube-system", None),
        ("what is wrong in the cluster", None, None),
        ("why is pod api-0 in namespace shop pending?", "shop", "api-0"),
        ("is the checkout pod healthy", None, "checkout"),
        ("describe api-7c9d", None, "api-7c9d"),
        ("为什么 api-0 在 shop 命名空间失败", "shop", "api-0"),
    ],
)
def test_names_are_read_out_of_a_question(
    text: str, namespace: str | None, pod: str | None
) -> None:
    question = Question(text, "Clusters: demo.", ())
    assert (question.namespace, question.pod) == (namespace, pod)
