"""Receives one change through the package websockets, for the tests named foreign_*.

TOKEN=... python tests/tools/receive_websockets.py BASE_URL TABLE
Says "ready" once the subscription is effective, then the row it was told as JSON.
"""

import json
import os
import sys

from websockets.sync.client import connect


def main() -> None:
    base, table = sys.argv[1:]
    url = base.replace("http", "ws", 1) + f"/api/v1/ws/events?tables={table}"
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    with connect(url, additional_headers=headers) as socket:
        for text in socket:
            message = json.loads(text)
            match message["message_type"]:
                case "subscription_ack":
                    print("ready", flush=True)
                case "table_modified":
                    print(json.dumps(message["data"]["row_data"]), flush=True)
                    return
    sys.exit("the socket was closed")


main()
