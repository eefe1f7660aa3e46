"""Stored clusters: everything comes back, and what is secret is sealed in the file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from cloudpilot.db.clusters import ClusterRepository, StoredCluster
from cloudpilot.db.sealing import Sealer
from cloudpilot.db.session import Database
from cloudpilot.errors import Conflict, NotFound, SettingsError

PROD = StoredCluster(
    "prod",
    "production",
    "https://prod.example.com",
    token="c4nary-token",
    ca_data="an authority",
    client_cert="c4nary-certificate",
    client_key="c4nary-key",
    tls_server_name="kubernetes",
    uid="a-uid",
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(f"sqlite:///{tmp_path}/a.db") as opened:
        yield opened


@pytest.fixture
def repository(database: Database) -> ClusterRepository:
    return ClusterRepository(database, Sealer(b"k" * 32))


def written(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_everything_stored_comes_back(repository: ClusterRepository) -> None:
    await repository.add(PROD)
    [found] = await repository.list()
    assert found.created_at == found.updated_at is not None
    assert replace(found, created_at=None, updated_at=None) == PROD


async def test_credentials_are_sealed_in_the_file(
    repository: ClusterRepository, tmp_path: Path
) -> None:
    await repository.add(PROD)
    assert written(tmp_path)
    assert b"c4nary" not in written(tmp_path)


async def test_clusters_are_listed_by_name(repository: ClusterRepository) -> None:
    for name in ("b", "c", "a"):
        await repository.add(replace(PROD, name=name))
    assert [item.name for item in await repository.list()] == ["a", "b", "c"]


async def test_name_is_taken_once(repository: ClusterRepository) -> None:
    await repository.add(PROD)
    with pytest.raises(Conflict, match="prod"):
        await repository.add(replace(PROD, token="another"))
    [kept] = await repository.list()
    assert kept.token == PROD.token


async def test_update_replaces_everything_but_the_age(repository: ClusterRepository) -> None:
    await repository.add(PROD)
    [before] = await repository.list()
    bare = StoredCluster("prod", "", "https://other.example.com", token="new")
    await repository.update(bare)
    [after] = await repository.list()
    assert replace(after, created_at=None, updated_at=None) == bare
    assert after.created_at == before.created_at


async def test_absent_cluster_cannot_be_updated_and_may_be_removed(
    repository: ClusterRepository,
) -> None:
    with pytest.raises(NotFound):
        await repository.update(PROD)
    await repository.remove("prod")
    await repository.add(PROD)
    await repository.remove("prod")
    assert await repository.list() == ()


@pytest.mark.parametrize("column", ["sealed_client_cert", "sealed_client_key"])
async def test_swapped_fields_do_not_open(
    repository: ClusterRepository, database: Database, column: str
) -> None:
    await repository.add(PROD)
    async with database.transaction() as session:
        await session.execute(text(f"update clusters set {column} = sealed_token"))
    with pytest.raises(SettingsError, match="'prod'"):
        await repository.list()


def test_repr_shows_nothing_secret() -> None:
    assert "c4nary" not in repr(PROD)
