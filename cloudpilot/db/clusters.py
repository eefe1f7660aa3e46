"""Stores registered clusters, their credentials sealed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from cloudpilot.db.models import ClusterRow
from cloudpilot.db.sealing import Sealer
from cloudpilot.db.session import Database, clock, utc
from cloudpilot.errors import Conflict, NotFound

_SEALED = {
    "token": "sealed_token",
    "client_cert": "sealed_client_cert",
    "client_key": "sealed_client_key",
}


@dataclass(frozen=True, slots=True, repr=False)
class StoredCluster:
    """A registered cluster, its credential opened. PEM texts are decoded."""

    name: str
    description: str
    server: str
    token: str | None = None
    ca_data: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    tls_server_name: str | None = None
    uid: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def __repr__(self) -> str:
        return f"StoredCluster(name={self.name!r}, server={self.server!r})"


class ClusterRepository:
    """Every registered cluster."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def list(self) -> tuple[StoredCluster, ...]:
        """Return all, sorted by name."""
        async with self._database.transaction() as session:
            rows = await session.scalars(select(ClusterRow).order_by(ClusterRow.name))
            return tuple(self._stored(row) for row in rows)

    async def add(self, cluster: StoredCluster) -> None:
        """Store a new cluster.

        Raises:
            Conflict: one of this name is registered.
        """
        try:
            async with self._database.transaction() as session:
                row = ClusterRow(name=cluster.name, created_at=await clock(session))
                row.updated_at = row.created_at
                self._fill(row, cluster)
                session.add(row)
        except IntegrityError:
            raise Conflict(
                f"a cluster {cluster.name!r} is registered already",
                hint="update it, or choose another name",
            ) from None

    async def update(self, cluster: StoredCluster) -> None:
        """Replace everything stored about a cluster but its age.

        Raises:
            NotFound: there is none.
        """
        async with self._database.transaction() as session:
            row = await session.get(ClusterRow, cluster.name)
            if row is None:
                raise NotFound(f"there is no registered cluster {cluster.name!r}")
            row.updated_at = await clock(session)
            self._fill(row, cluster)

    async def remove(self, name: str) -> None:
        """Forget a cluster; fine if there is none."""
        async with self._database.transaction() as session:
            await session.execute(delete(ClusterRow).where(ClusterRow.name == name))

    def _fill(self, row: ClusterRow, cluster: StoredCluster) -> None:
        row.description = cluster.description
        row.server = cluster.server
        row.ca_data = cluster.ca_data
        row.tls_server_name = cluster.tls_server_name
        row.uid = cluster.uid
        for field, column in _SEALED.items():
            value = getattr(cluster, field)
            sealed = value and self._sealer.seal(value, cluster=row.name, field=field)
            setattr(row, column, sealed or None)

    def _stored(self, row: ClusterRow) -> StoredCluster:
        opened = {
            field: self._sealer.open(sealed, cluster=row.name, field=field)
            for field, column in _SEALED.items()
            if (sealed := getattr(row, column))
        }
        return StoredCluster(
            name=row.name,
            description=row.description,
            server=row.server,
            ca_data=row.ca_data,
            tls_server_name=row.tls_server_name,
            uid=row.uid,
            created_at=utc(row.created_at),
            updated_at=utc(row.updated_at),
            **opened,
        )
