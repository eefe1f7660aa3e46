"""What is in front of the model before it speaks, and what happens when that grows too long."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from agent.seed import split_context
from cloudpilot.clusters import Cluster
from cloudpilot.operation import Catalog
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings, load_settings
from tests.agent.conftest import library
from tests.agent.conversation import ME, ask, assistant_with, only, read, script
from tests.fakes.chat_model import Reply, ScriptedModel, ToolUse


def last_question(model: ScriptedModel) -> tuple[str, str]:
    """Return the context and the message of the model's last call."""
    asked = [m for m in model.seen[-1] if isinstance(m, HumanMessage)]
    return split_context(str(asked[-1].text))


async def test_a_question_comes_with_the_clusters_state(
    runtime: Runtime, shop_cluster: Cluster
) -> None:
    model = script(Reply("hello"))
    async with assistant_with(runtime, model) as assistant:
        await ask(assistant, "what is wrong?", cluster="demo", namespace="shop")
    context, question = last_question(model)
    assert question == "what is wrong?"
    assert context.splitlines() == [
        "Clusters: demo.",
        "Selected cluster: demo.",
        "Selected namespace: shop.",
        "State: ready; 3 of 3 nodes ready; 3 of 32 pods failing; in shop 3 of 13 pods failing.",
    ]


async def test_without_a_cluster_the_context_says_so(runtime: Runtime) -> None:
    model = script(Reply("hello"))
    async with assistant_with(runtime, model) as assistant:
        await ask(assistant, "hello")
    assert last_question(model)[0] == "Clusters: none is registered."


async def test_a_selection_stays_with_the_thread(runtime: Runtime, shop_cluster: Cluster) -> None:
    model = script(Reply("hello"))
    async with assistant_with(runtime, model) as assistant:
        started = await assistant.start("hi", actor=ME, cluster="demo", namespace="shop")
        await read(assistant, started)
        await ask(assistant, "and now?", thread_id=started.thread_id)
        assert "Selected namespace: shop." in last_question(model)[0]
        await ask(assistant, "there?", thread_id=started.thread_id, namespace="payments")
    assert "Selected namespace: payments." in last_question(model)[0]


async def test_a_long_conversation_is_compacted_unseen(settings: Settings) -> None:
    small = load_settings(
        overrides={
            "database.url": settings.database.url,
            "database.key_file": str(settings.database.key_file),
            "llm.context_tokens": 8_000,
            "agent.result_tokens": 1_500,
        },
        environ={},
    )
    model = ScriptedModel(replies=[Reply("unused")])
    rounds = 8
    model.replies = [
        Reply(
            "Reading.",
            [ToolUse("list_books", {"count": 500 + number})],
            input_tokens=600 + 1_500 * number,
        )
        for number in range(rounds)
    ]
    model.replies.append(Reply("The end."))
    async with Runtime.open(small, []) as runtime:
        catalog = Catalog([library()], runtime.plans)
        async with assistant_with(runtime, model, catalog) as assistant:
            events = await ask(assistant, "read them all")
    sizes = [sum(len(str(message.content)) for message in seen) // 4 for seen in model.seen]
    assert max(sizes) < 8_000
    assert any("Summarise the conversation" in str(seen[-1].content) for seen in model.seen)
    assert only(events, "answer")[0]["text"] == "The end."
    assert only(events, "run_finished") == [{"status": "finished"}]
