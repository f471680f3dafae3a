"""Stream a large result: rows come as they are made, none is kept, and one may stop early."""

import os

from rustydb import Client, Event, Password
from rustydb.types import QueryCompleted, QueryError, QueryRow, QueryRows, QueryStarted, QueryStatus

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])


def read_all(client: Client) -> None:
    """A call answers 10,000 rows at most; this result has twenty times as many."""
    total = rows_seen = 0
    sql = "SELECT value AS n FROM generate_series(1, 200000)"
    with client.query.results(sql=sql, rows_per_event=1000) as results:
        for item in results:
            match item:
                case Event(data=QueryRows(rows=rows)):
                    rows_seen += len(rows)
                    total += sum(row["n"] for row in rows)
                case Event(data=QueryCompleted(rows_returned=returned)):
                    assert returned == rows_seen
                # Rows were sent already when a statement fails midway, so its error is an event.
                case Event(data=QueryError(code=code, message=message)):
                    raise RuntimeError(f"{code}: {message}")
    print(f"read {rows_seen} rows, whose sum is {total}")


def stop_early(client: Client) -> None:
    """Leaving the `with` block ends the statement on the server."""
    query_id = ""
    first: list[int] = []
    with client.query.executions(filter={"status": QueryStatus.CANCELLED}) as cancelled:
        with client.query.results(sql="SELECT value AS n FROM generate_series(1, 1000000000)") as results:
            for item in results:
                match item:
                    case Event(data=QueryStarted() as started):
                        query_id = started.query_id
                    case Event(data=QueryRow(row_data=row)):
                        first.append(row["n"])
                if len(first) == 3:
                    break
        print(f"of 1000000000 rows the first are {first}, and no more are asked for")
        for told in cancelled:
            if isinstance(told, Event) and told.data.query_id == query_id:
                print(f"the server tells of the statement: {told.data.status}")
                break


def main() -> None:
    with Client(URL, credentials=USER) as client:
        read_all(client)
        stop_early(client)
    print("done")


if __name__ == "__main__":
    main()
