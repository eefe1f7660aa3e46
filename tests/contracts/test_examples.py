"""Every operation's example works on the scene `shop`, through the one door there is."""

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.errors import ApprovalRequired
from cloudpilot.operation import Effect, Operation
from cloudpilot.plans.plan import PlanState
from cloudpilot.runtime import Runtime
from tests.contracts.reference import operations


def with_effect(*effects: Effect) -> list[Operation]:
    return [operation for operation in operations() if operation.effect in effects]


async def test_example_of_every_read_is_answered(
    runtime: Runtime, shop_cluster: Cluster, context: CallContext, subtests: pytest.Subtests
):
    for operation in with_effect(Effect.READ):
        with subtests.test(operation.name):
            answer = await runtime.catalog.call(operation.name, context, operation.example)
            dumped = answer.model_dump(mode="json", by_alias=True)
            assert operation.result.model_validate(dumped) == answer


async def test_example_of_every_write_becomes_a_plan_and_writes_nothing(
    runtime: Runtime, shop_cluster: Cluster, context: CallContext, subtests: pytest.Subtests
):
    before = [gateway.metadata for gateway in shop_cluster.cache["Gateway"].list()]
    for operation in with_effect(Effect.WRITE, Effect.DESTROY):
        with subtests.test(operation.name):
            with pytest.raises(ApprovalRequired) as raised:
                await runtime.catalog.call(operation.name, context, operation.example)
            plan = raised.value.plan
            assert (plan.state, plan.operation) == (PlanState.PROPOSED, operation.name)
            assert plan.diff
    assert [gateway.metadata for gateway in shop_cluster.cache["Gateway"].list()] == before


@pytest.mark.parametrize("operation", with_effect(Effect.MANAGE), ids=lambda found: found.name)
def test_example_of_every_other_operation_is_accepted(operation: Operation):
    assert operation.parse(operation.example).model_dump(exclude_unset=True).keys() == (
        operation.example.keys()
    )
