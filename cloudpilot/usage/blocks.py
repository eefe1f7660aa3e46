"""How samples are packed: figures of some subjects at some times, in a few bytes each.

A block keeps one column for each field of each subject: a value that does not change is one
number, one that does is a list of differences; zlib does the rest. One subject is read without
building the others. Nothing here talks to a database.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from cloudpilot.usage.sample import FIELDS, Figures

Column = Sequence[int | None]
"""A value for each time of its block; None where it was unknown."""

PARTS = 16
"""The subjects of a scope are spread over so many blocks, so that one is found by reading few."""
PEAK, COUNT = ":max", ":samples"
"""Added to the name of a field in a rolled-up block: its maximum, and of how many samples."""
_LARGEST = 2**61
"""Keeps every difference within 64 bits, whatever a quantity says."""
_LEVEL = 6


@dataclass(slots=True)
class Block:
    """Figures of some subjects at some times, which are seconds since the epoch, in order."""

    times: list[int]
    columns: dict[str, dict[str, Column]] = field(default_factory=dict)
    """By subject and field; a field of which nothing is known is left out."""


class _Packed(msgspec.Struct, array_like=True):
    first: int
    steps: list[int]
    names: list[str]
    columns: dict[str, msgspec.Raw]
    """By subject, a column for each name."""


_PackedColumn = int | None | list[int | None]


def part_of(subject: str) -> int:
    """Return which of the parts of its scope a subject is in."""
    return zlib.crc32(subject.encode()) % PARTS


def block_of(time: int, figures: Mapping[str, Figures]) -> Block:
    """Return the block of one sample."""
    columns: dict[str, dict[str, Column]] = {}
    for subject, known in figures.items():
        values = {name: getattr(known, name) for name in FIELDS}
        columns[subject] = {
            name: [min(max(value, -_LARGEST), _LARGEST)]
            for name, value in values.items()
            if value is not None
        }
    return Block([time], columns)


def split(block: Block) -> dict[int, Block]:
    """Return the parts that hold something."""
    parts: dict[int, Block] = {}
    for subject, columns in block.columns.items():
        part = parts.setdefault(part_of(subject), Block(block.times))
        part.columns[subject] = columns
    return parts


def pack(block: Block) -> bytes:
    """Encode a block."""
    names = list(dict.fromkeys(name for known in block.columns.values() for name in known))
    nothing: Column = [None] * len(block.times)
    columns = {
        subject: [_pack_column(known.get(name, nothing)) for name in names]
        for subject, known in block.columns.items()
    }
    steps = [after - before for before, after in zip(block.times, block.times[1:], strict=False)]
    return zlib.compress(msgspec.msgpack.encode((block.times[0], steps, names, columns)), _LEVEL)


def unpack(data: bytes, subject: str | None = None) -> Block:
    """Decode a block, or only one subject of it."""
    packed = msgspec.msgpack.decode(zlib.decompress(data), type=_Packed)
    times = [packed.first]
    for step in packed.steps:
        times.append(times[-1] + step)
    block = Block(times)
    wanted = packed.columns if subject is None else {subject} & packed.columns.keys()
    for name in wanted:
        raw = msgspec.msgpack.decode(packed.columns[name], type=list[_PackedColumn])
        columns = zip(packed.names, raw, strict=True)
        block.columns[name] = {
            field_name: _unpack_column(column, len(times))
            for field_name, column in columns
            if column is not None
        }
    return block


def merge(blocks: Iterable[Block]) -> Block:
    """Return one block of all times of some; where two know a time, the later one counts."""
    every = list(blocks)
    times = sorted({time for block in every for time in block.times})
    at = {time: number for number, time in enumerate(times)}
    merged: dict[str, dict[str, list[int | None]]] = {}
    for block in every:
        places = [at[time] for time in block.times]
        for subject, known in block.columns.items():
            columns = merged.setdefault(subject, {})
            for name, values in known.items():
                column = columns.get(name)
                if column is None:
                    column = columns[name] = [None] * len(times)
                for place, value in zip(places, values, strict=True):
                    column[place] = value
    return Block(times, {subject: dict(known) for subject, known in merged.items()})


def roll_up(block: Block, start: int) -> Block:
    """Return one time with the mean and the maximum of each field, and of how many samples."""
    rolled = Block([start])
    for subject, known in block.columns.items():
        columns: dict[str, Column] = {}
        for name, column in known.items():
            values = [value for value in column if value is not None]
            columns[name] = [round(sum(values) / len(values))]
            columns[name + PEAK] = [max(values)]
            columns[name + COUNT] = [len(values)]
        rolled.columns[subject] = columns
    return rolled


def _pack_column(values: Column) -> _PackedColumn:
    if all(value == values[0] for value in values):
        return values[0]
    packed: list[int | None] = []
    before = 0
    for value in values:
        packed.append(None if value is None else value - before)
        before = before if value is None else value
    return packed


def _unpack_column(packed: _PackedColumn, length: int) -> Column:
    if not isinstance(packed, list):
        return [packed] * length
    values: list[int | None] = []
    before = 0
    for step in packed:
        if step is not None:
            before += step
        values.append(None if step is None else before)
    return values
