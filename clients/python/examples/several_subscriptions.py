"""Watch rows, definitions and transactions at once, each with a task of its own."""

import asyncio
import os

from rustydb import AsyncClient, AsyncSubscription, Event, Id64, Password
from rustydb.types import ColumnSpec, SchemaChanged, TableRowChange, TransactionEvent, TransactionEventType

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])
TABLE = "example_py_several"
COLUMNS = [ColumnSpec(name="id", type="bigint"), ColumnSpec(name="name", type="text")]


async def watch_rows(changes: AsyncSubscription[TableRowChange], count: int) -> None:
    async for item in changes:
        if isinstance(item, Event):
            print(f"rows: {item.data.change_type} in {item.data.table}")
            count -= 1
            if count == 0:
                return


async def watch_schema(changes: AsyncSubscription[SchemaChanged]) -> None:
    async for item in changes:
        if isinstance(item, Event):
            print(f"schema: {item.data.change_type} of {item.data.object_type} {item.data.object_name}")
            return


async def watch_transactions(events: AsyncSubscription[TransactionEvent], mine: Id64) -> None:
    """Telemetry of the whole server: others' transactions come too, unless a filter keeps them away."""
    async for item in events:
        if isinstance(item, Event) and item.data.transaction_id == mine:
            print(f"transactions: {item.data.event_type} by {item.data.username}")
            if item.data.event_type is TransactionEventType.COMMIT:
                return


async def work(client: AsyncClient, transaction: Id64) -> None:
    rows = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    await client.database.insert_rows(name=TABLE, rows=rows, transaction_id=transaction)
    await client.transactions.commit(id=transaction)
    with_note = [*COLUMNS, ColumnSpec(name="note", type="text")]
    await client.database.replace_table(name=TABLE, columns=with_note, primary_key=["id"])


async def watch_all(client: AsyncClient) -> None:
    # A filter keeps what does not match on the server.
    async with (
        client.database.table_changes(table=TABLE) as changes,
        client.database.schema_changes(filter={"object_name": TABLE}) as schema,
        client.transactions.transaction_events() as transactions,
    ):
        transaction = (await client.transactions.begin()).transaction_id
        # The group ends when all have seen what they wait for; the first that fails ends the others.
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(watch_rows(changes, count=2))
            group.create_task(watch_schema(schema))
            group.create_task(watch_transactions(transactions, transaction))
            group.create_task(work(client, transaction))


async def main() -> None:
    async with AsyncClient(URL, credentials=USER) as client:
        await client.sql.execute_query(sql=f"DROP TABLE IF EXISTS {TABLE}")
        await client.database.create_table(name=TABLE, columns=COLUMNS, primary_key=["id"])
        try:
            await watch_all(client)
        finally:
            await client.database.drop_table(name=TABLE)
    print("done")


if __name__ == "__main__":
    asyncio.run(main())
