"""Watch a table: the rows that are there, then every change as it is committed."""

import os

from rustydb import Client, Control, Event, Password
from rustydb.types import ChangeType, Row, StreamControlKind

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])
TABLE = "example_py_subscribe"


def write(client: Client) -> None:
    """What anybody may do meanwhile, from another program as well."""
    client.database.insert_rows(name=TABLE, rows=[{"id": 2, "state": "ordered"}])
    client.database.update_row(name=TABLE, id="1", values={"state": "sent"})
    client.database.delete_row(name=TABLE, id="2")


def watch(client: Client) -> None:
    # Once the block is entered the server has acknowledged: nothing that happens after is missed.
    with client.database.table_changes(table=TABLE, snapshot=True) as changes:
        for item in changes:
            match item:
                case Control(control=told) if told.kind is StreamControlKind.SNAPSHOT_COMPLETE:
                    print(f"rows that were there: {told.count}; from here on it is changes")
                    write(client)
                case Event(data=change) if change.change_type is ChangeType.DELETE:
                    print("DELETE", shown(change.old_row))
                    return
                case Event(data=change):
                    print(change.change_type, shown(change.row))


def shown(row: object) -> object:
    """A row is absent (`UNSET`) where the change has none."""
    return row.data if isinstance(row, Row) else "no row"


def main() -> None:
    with Client(URL, credentials=USER) as client:
        client.sql.execute_query(sql=f"DROP TABLE IF EXISTS {TABLE}")
        client.sql.execute_query(sql=f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, state text)")
        try:
            client.database.insert_rows(name=TABLE, rows=[{"id": 1, "state": "ordered"}])
            watch(client)
        finally:
            client.database.drop_table(name=TABLE)
    print("done")


if __name__ == "__main__":
    main()
