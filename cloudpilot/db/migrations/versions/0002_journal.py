"""The journal of clusters: entries, events, pods that are gone, times of watching"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_INDEXES = (
    ("journal_entries", "time"),
    ("journal_entries", "name"),
    ("journal_entries", "owner_name"),
    ("journal_events", "last"),
    ("journal_events", "name"),
    ("journal_events", "owner_name"),
    ("journal_pods", "gone"),
    ("journal_pods", "name"),
)


def upgrade() -> None:
    _entries()
    _events()
    _pods()
    _coverage()
    for table, column in _INDEXES:
        op.create_index(op.f(f"ix_{table}_cluster_{column}"), table, ["cluster", column])


def _entries() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        *_object(),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("who", sa.String(length=128), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "id", name=op.f("pk_journal_entries")),
    )


def _events() -> None:
    op.create_table(
        "journal_events",
        sa.Column("digest", sa.String(length=32), nullable=False),
        *_object(),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=128), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "digest", name=op.f("pk_journal_events")),
    )


def _pods() -> None:
    op.create_table(
        "journal_pods",
        sa.Column("uid", sa.String(length=64), nullable=False),
        *_object(),
        sa.Column("gone", sa.DateTime(timezone=True), nullable=False),
        sa.Column("node", sa.String(length=253), nullable=False),
        sa.Column("reason", sa.String(length=128), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("container", sa.String(length=63), nullable=False),
        sa.Column("packed_log", sa.LargeBinary(), nullable=True),
        sa.Column("log_note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "uid", name=op.f("pk_journal_pods")),
    )


def _coverage() -> None:
    op.create_table(
        "journal_coverage",
        sa.Column("cluster", sa.String(length=63), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("identity", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=63), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "id", name=op.f("pk_journal_coverage")),
    )


def _object() -> tuple[sa.Column[str], ...]:
    return (
        sa.Column("cluster", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=63), nullable=False),
        sa.Column("namespace", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("owner_kind", sa.String(length=63), nullable=False),
        sa.Column("owner_name", sa.String(length=253), nullable=False),
    )


def downgrade() -> None:
    for table, column in reversed(_INDEXES):
        op.drop_index(op.f(f"ix_{table}_cluster_{column}"), table_name=table)
    for table in ("journal_coverage", "journal_pods", "journal_events", "journal_entries"):
        op.drop_table(table)
