"""A subscription outlives its connection: it is opened again behind the last item, none lost and none twice.

Needs an administrator, who cuts the connection here. A server that restarts looks the same to a subscriber.
"""

import asyncio
import os
import secrets
from contextlib import suppress

from rustydb import AsyncClient, AsyncSubscription, Event, Password, ReconnectPolicy
from rustydb.errors import UserNotFoundError
from rustydb.types import Row, TableRowChange

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])
TABLE = "example_py_reconnect"
#: Who watches: a user made for this, by whose name the administrator finds the connection to cut.
READER = Password("example_py_reader", secrets.token_urlsafe())
# Pauses double from at most 0.1 s to at most 2 s, each shortened by chance. After 20 tries in a row that fail
# it gives up; without `attempts_max`, never.
POLICY = ReconnectPolicy(attempts_max=20, pause_first=0.1, pause_max=2)


async def insert(admin: AsyncClient, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await admin.database.insert_rows(name=TABLE, rows=[{"id": number}])


async def read(changes: AsyncSubscription[TableRowChange], count: int) -> list[int]:
    """Ids of the next `count` rows inserted."""
    ids: list[int] = []
    async for item in changes:
        if isinstance(item, Event) and isinstance(item.data.row, Row):
            ids.append(item.data.row.data["id"])
            if len(ids) == count:
                break
    return ids


async def connection(admin: AsyncClient) -> str:
    """Id of the connection that the reader has."""
    every = admin.websocket.list_connections_items()
    (found,) = [each.connection_id async for each in every if each.username == READER.username]
    return found


async def watch(admin: AsyncClient, reader: AsyncClient) -> None:
    async with reader.database.table_changes(table=TABLE) as changes:
        await insert(admin, 1, 10)
        ids = await read(changes, 5)
        print("read", ids)

        before = await connection(admin)
        await admin.websocket.disconnect(id=before)
        await insert(admin, 11, 20)
        print("the connection was cut, and ten more rows were written")
        ids += await read(changes, 15)
        assert await connection(admin) != before
        print("read", ids[5:], "over another connection, made by itself")

    # A program that was ended goes on where it was: keep the cursor with what one made of the items.
    cursor = changes.cursor
    assert cursor is not None
    await insert(admin, 21, 23)
    async with reader.database.table_changes(table=TABLE, cursor=cursor) as changes:
        later = await read(changes, 3)
    print("read", later, "behind the cursor that was kept")
    assert ids + later == list(range(1, 24))
    print("23 rows were written and read in their order, none lost and none twice")


async def main() -> None:
    async with AsyncClient(URL, credentials=USER, reconnect=POLICY) as admin:
        with suppress(UserNotFoundError):
            await admin.admin.delete_user(id=READER.username)
        await admin.admin.create_user(username=READER.username, password=READER.password, roles=["analyst"])
        await admin.sql.execute_query(sql=f"DROP TABLE IF EXISTS {TABLE}")
        await admin.sql.execute_query(sql=f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY)")
        try:
            async with asyncio.timeout(60):
                await watch(admin, admin.with_credentials(READER))
        finally:
            await admin.database.drop_table(name=TABLE)
            await admin.admin.delete_user(id=READER.username)
    print("done")


if __name__ == "__main__":
    asyncio.run(main())
