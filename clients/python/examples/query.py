"""Run SQL with parameters, read rows as objects, change rows, and group changes into a transaction."""

import os
from dataclasses import dataclass

from rustydb import Client, Password

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])
TABLE = "example_py_query"


@dataclass
class City:
    id: int
    name: str
    people: int


def cities(client: Client, at_least: int) -> list[City]:
    """A row is a dict by column name, so it fills a class of the same fields."""
    result = client.sql.execute_query(
        sql=f"SELECT id, name, people FROM {TABLE} WHERE people >= $1 ORDER BY people DESC",
        params=[at_least],
    )
    return [City(**row) for row in result.rows]


def move(client: Client, people: int, source: str, target: str) -> None:
    """Both changes or none: each call names the transaction it belongs to."""
    transaction = client.transactions.begin().transaction_id
    try:
        for change, name in ((-people, source), (people, target)):
            updated = client.sql.execute_query(
                sql=f"UPDATE {TABLE} SET people = people + $1 WHERE name = $2",
                params=[change, name],
                transaction_id=transaction,
            )
            if updated.rows_affected != 1:
                raise LookupError(f"there is no city {name!r}")
    except BaseException:
        client.transactions.rollback(id=transaction)
        raise
    committed = client.transactions.commit(id=transaction)
    print(f"committed {committed.rows_changed} rows at {committed.lsn}")


def main() -> None:
    with Client(URL, credentials=USER) as client:
        client.sql.execute_query(sql=f"DROP TABLE IF EXISTS {TABLE}")
        client.sql.execute_query(
            sql=f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, name text NOT NULL UNIQUE, people bigint)"
        )
        try:
            # Values are parameters, never part of the text: `$1` is the first of `params`.
            client.sql.execute_query(
                sql=f"INSERT INTO {TABLE} VALUES ($1, $2, $3), ($4, $5, $6)",
                params=[1, "Oslo", 700_000, 2, "Bergen", 290_000],
            )
            # The same without SQL: a row by its columns, and by its id.
            client.database.insert_rows(name=TABLE, rows=[{"id": 3, "name": "Narvik", "people": 20_000}])
            client.database.update_row(name=TABLE, id="3", values={"people": 21_000})
            print("large cities:", [city.name for city in cities(client, at_least=100_000)])

            move(client, 1_000, source="Oslo", target="Narvik")
            try:
                move(client, 1_000, source="Oslo", target="Atlantis")
            except LookupError as error:
                print("rolled back:", error)
            for city in cities(client, at_least=0):
                print(f"  {city.name}: {city.people}")
        finally:
            client.database.drop_table(name=TABLE)
    print("done")


if __name__ == "__main__":
    main()
