"""Ask the server for a sign of life in regular intervals, and notice when it stays away."""

import asyncio
import os

from rustydb import AsyncClient, AsyncSubscription, Event, Password
from rustydb.types import Heartbeat

URL = os.environ.get("RUSTYDB_URL", "http://127.0.0.1:8080")
USER = Password(os.environ.get("RUSTYDB_USERNAME", "admin"), os.environ["RUSTYDB_PASSWORD"])


async def next_beat(beats: AsyncSubscription[Heartbeat], within: float) -> int:
    """The number of the next heartbeat. Raises a TimeoutError after `within` seconds of silence.

    The subscription outlives that: one may go on waiting on it, and misses nothing.
    """
    async with asyncio.timeout(within):
        async for item in beats:
            # A control item tells of the stream itself, such as that it was lost and begun again.
            if isinstance(item, Event):
                return item.data.sequence
    raise RuntimeError("the subscription was closed")


async def main() -> None:
    async with AsyncClient(URL, credentials=USER) as client:
        async with client.protocol.heartbeat(interval_ms=100) as beats:
            for _ in range(3):
                # Many intervals long, so that a busy machine is not taken for a dead one.
                print("heartbeat", await next_beat(beats, within=5))

        # What a server that hangs looks like: after the first heartbeat, the next one here is due in an hour.
        async with client.protocol.heartbeat(interval_seconds=3600) as beats:
            print("heartbeat", await next_beat(beats, within=5))
            try:
                await next_beat(beats, within=0.5)
            except TimeoutError:
                print("silent for 0.5 s: ask the server itself")
            else:
                raise AssertionError("there was a heartbeat within the hour")
            # With a time-out, since a server that hangs would let this call wait as well.
            summary = await client.with_options(timeout=5).health.get_summary()
            print("it answers that it is", summary.status)
    print("done")


if __name__ == "__main__":
    asyncio.run(main())
