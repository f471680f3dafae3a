"""Connect to a server and show who one is: by user name and password, then by an API key."""

import os

from rustydb import ApiKey, Client, Password
from rustydb.errors import UnauthenticatedError

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])


def main() -> None:
    # Nothing is sent yet. The first call signs in, and tokens that expire are renewed unasked.
    with Client(URL, credentials=USER) as client:
        print("server is", client.health.get_summary().status)
        me = client.auth.validate()
        print(f"signed in as {me.username} with roles {', '.join(me.roles)}")

        # An API key suits a program: it is made once, kept as a secret, and revoked on its own.
        key = client.auth.create_api_key(name="example_py_connect", expires_in_days=1)
        program = client.with_credentials(ApiKey(key.api_key))
        try:
            print(f"the key {key.name!r} acts as {program.auth.validate().username}")
        finally:
            client.auth.revoke_api_key(id=key.id)
        try:
            program.auth.validate()
        except UnauthenticatedError as error:
            print(f"revoked, it is refused: {error.code}")
        else:
            raise AssertionError("a revoked key was let in")

        client.auth.logout()
    print("done")


if __name__ == "__main__":
    main()
