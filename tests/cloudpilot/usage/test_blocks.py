"""Blocks give back exactly what was put in, whatever it was, in far fewer bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.usage.blocks import (
    COUNT,
    PARTS,
    PEAK,
    Block,
    block_of,
    merge,
    pack,
    part_of,
    roll_up,
    split,
    unpack,
)
from cloudpilot.usage.sample import FIELDS, Figures

SUBJECTS = st.sampled_from(["a", "shop/Deployment/cart", "node-1", "\u00fc"])
NAMES = st.sampled_from(FIELDS)
VALUES = st.integers(-(2**61), 2**61) | st.integers(0, 3)
TIMES = st.integers(0, 2**33).map(lambda minute: minute * 60)


@st.composite
def samples(draw: st.DrawFn) -> dict[int, dict[str, dict[str, int]]]:
    figures = st.dictionaries(SUBJECTS, st.dictionaries(NAMES, VALUES, max_size=4))
    return draw(st.dictionaries(TIMES, figures, min_size=1, max_size=8))


def single(time: int, known: dict[str, dict[str, int]]) -> Block:
    return block_of(time, {subject: Figures(**figures) for subject, figures in known.items()})


def told(block: Block) -> dict[int, dict[str, dict[str, int]]]:
    """What a block knows, time by time."""
    found: dict[int, dict[str, dict[str, int]]] = {}
    for subject, columns in block.columns.items():
        for name, column in columns.items():
            assert len(column) == len(block.times)
            for time, value in zip(block.times, column, strict=True):
                if value is not None:
                    found.setdefault(time, {}).setdefault(subject, {})[name] = value
    return found


def known_of(taken: dict[int, dict[str, dict[str, int]]]) -> dict[int, dict[str, dict[str, int]]]:
    """The same of what was put in: nothing at all is told of who had no figure."""
    some = {
        time: {subject: figures for subject, figures in known.items() if figures}
        for time, known in taken.items()
    }
    return {time: known for time, known in some.items() if known}


@given(samples())
def test_what_is_merged_and_packed_comes_back(
    taken: dict[int, dict[str, dict[str, int]]],
) -> None:
    block = merge(unpack(pack(single(time, known))) for time, known in taken.items())
    assert block.times == sorted(taken)
    assert told(block) == known_of(taken)
    assert told(unpack(pack(block))) == known_of(taken)


@given(samples(), SUBJECTS)
def test_one_subject_is_read_alone(
    taken: dict[int, dict[str, dict[str, int]]], subject: str
) -> None:
    whole = merge(single(time, known) for time, known in taken.items())
    alone = unpack(pack(whole), subject)
    assert alone.times == whole.times
    assert alone.columns.keys() <= {subject}
    expected = {time: known[subject] for time, known in told(whole).items() if subject in known}
    assert {time: known[subject] for time, known in told(alone).items()} == expected


@given(samples(), samples())
def test_merging_packed_blocks_is_merging_their_samples(
    one: dict[int, dict[str, dict[str, int]]], other: dict[int, dict[str, dict[str, int]]]
) -> None:
    other = {time: known for time, known in other.items() if time not in one}
    parts = [merge(single(time, known) for time, known in taken.items()) for taken in (one, other)]
    assert told(merge(unpack(pack(part)) for part in parts if part.times)) == known_of(one | other)


@given(samples())
def test_roll_up_has_mean_maximum_and_count_of_each_field(
    taken: dict[int, dict[str, dict[str, int]]],
) -> None:
    block = merge(single(time, known) for time, known in taken.items())
    rolled = unpack(pack(roll_up(block, 900)))
    assert rolled.times == [900]
    for subject, columns in block.columns.items():
        for name, column in columns.items():
            values = [value for value in column if value is not None]
            found = rolled.columns[subject]
            assert found[name] == [round(sum(values) / len(values))]
            assert found[name + PEAK] == [max(values)]
            assert found[name + COUNT] == [len(values)]


@given(samples())
def test_parts_hold_every_subject_once(taken: dict[int, dict[str, dict[str, int]]]) -> None:
    block = merge(single(time, known) for time, known in taken.items())
    parts = split(block)
    subjects = [subject for part in parts.values() for subject in part.columns]
    assert sorted(subjects) == sorted(block.columns)
    for number, part in parts.items():
        assert 0 <= number < PARTS
        assert {part_of(subject) for subject in part.columns} == {number}


def test_absurd_quantities_are_kept_within_64_bits() -> None:
    low = block_of(0, {"a": Figures(memory_usage_bytes=-(10**30))})
    high = block_of(60, {"a": Figures(memory_usage_bytes=10**30)})
    column = unpack(pack(merge([low, high]))).columns["a"]["memory_usage_bytes"]
    assert list(column) == [-(2**61), 2**61]


def test_what_does_not_change_costs_next_to_nothing() -> None:
    figures = Figures(cpu_requests_millicores=250, memory_requests_bytes=2**30, pods=3, restarts=1)
    subjects = {f"shop/Deployment/app-{number}": figures for number in range(100)}
    minutes = [block_of(minute * 60, subjects) for minute in range(15)]
    assert len(pack(merge(minutes))) < 12 * len(subjects)
