"""Every failure is a typed error with a code, and says whether a second try makes sense."""

import contextlib
import os
from collections.abc import Callable

from rustydb import Client, Password, RetryPolicy
from rustydb.errors import (
    ApiError,
    ConnectionFailedError,
    InvalidCredentialsError,
    InvalidValueError,
    RowNotFoundError,
    SyntaxError,
    TableNotFoundError,
    TransactionNotActiveError,
    UniqueViolationError,
    WriteConflictError,
)

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])
TABLE = "example_py_errors"
ATTEMPTS_MAX = 3


def outcome(call: Callable[[], object]) -> str:
    """Each error of the contract has a class, so `except` names what one can handle."""
    try:
        call()
    except (RowNotFoundError, TableNotFoundError) as error:
        return f"not found: {error.code}"
    except UniqueViolationError as error:
        return f"there already: {error.code}, status {error.status}"
    except InvalidValueError as error:
        return f"bad input: {error.message}"
    except SyntaxError as error:
        # Some errors have details of a type of their own.
        place = error.typed_details
        return f"bad SQL: {error.code} at line {place.line if place else 'unknown'}"
    except InvalidCredentialsError as error:
        return f"not let in: {error.code}"
    except ApiError as error:
        # All else that a server answers. With the request id one finds the call in the server's log.
        return f"another: {error.code}, retry {error.retry}, with a request id: {error.request_id != ''}"
    except ConnectionFailedError as error:
        return f"no answer: {error.code}"
    return "it worked"


def failures(client: Client) -> None:
    stranger = client.with_credentials(Password(USER.username, "not the password"))
    # Where no server is, a call is repeated with growing pauses, unless one says otherwise.
    nowhere = Client("http://127.0.0.1:1", retry=RetryPolicy.never())
    calls: list[Callable[[], object]] = [
        lambda: client.database.get_row(name=TABLE, id="7"),
        lambda: client.database.get_row(name="example_py_nowhere", id="7"),
        lambda: client.database.insert_rows(name=TABLE, rows=[{"id": 1, "stock": 5}]),
        lambda: client.database.update_row(name=TABLE, id="1", values={"stock": "many"}),
        lambda: client.sql.execute_query(sql=f"SELECT stock\nFORM {TABLE}"),
        lambda: stranger.auth.validate(),
        lambda: client.database.drop(name="main"),
        lambda: nowhere.health.get_summary(),
    ]
    with nowhere:
        for call in calls:
            text = outcome(call)
            assert text != "it worked"
            print(text)


def take_one(client: Client, meanwhile: Callable[[], object]) -> int:
    """Takes one of the stock; `meanwhile` is what somebody else does during the first attempt.

    The client repeats a call by itself where `retry` is "safe". With "transaction" the whole of it must begin
    anew, as what was read in it may no longer hold, and only the program knows how.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        transaction = client.transactions.begin().transaction_id
        try:
            row = client.database.get_row(name=TABLE, id="1", transaction_id=transaction)
            left: int = row.data["stock"] - 1
            if attempt == 1:
                meanwhile()
            client.database.update_row(name=TABLE, id="1", values={"stock": left}, transaction_id=transaction)
            client.transactions.commit(id=transaction)
            return left
        except WriteConflictError as error:
            print(f"attempt {attempt}: {error.code}, retry the {error.retry}")
            # A statement that lost leaves its transaction open, a commit that lost does not.
            with contextlib.suppress(TransactionNotActiveError):
                client.transactions.rollback(id=transaction)
    raise RuntimeError(f"somebody else was first {ATTEMPTS_MAX} times")


def main() -> None:
    with Client(URL, credentials=USER) as client:
        client.sql.execute_query(sql=f"DROP TABLE IF EXISTS {TABLE}")
        client.sql.execute_query(sql=f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, stock bigint)")
        try:
            client.database.insert_rows(name=TABLE, rows=[{"id": 1, "stock": 5}])
            failures(client)
            left = take_one(client, lambda: client.database.update_row(name=TABLE, id="1", values={"stock": 10}))
            assert left == 9
            print("the next attempt found 10 and left", left)
        finally:
            client.database.drop_table(name=TABLE)
    print("done")


if __name__ == "__main__":
    main()
