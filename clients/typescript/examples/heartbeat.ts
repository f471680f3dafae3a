/** Receives signs of life, and notices when they stay away. */

import { ConnectionError, RustyDB } from "@rustydb/client";

const db = new RustyDB({
  url: process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080",
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

/** Milliseconds without a byte that this program takes for a loss. A few heartbeats long: one may be late. */
const SILENCE_MS = 1_000;

/** Reads so many heartbeats, then ends. Throws when they stay away. */
async function listen(intervalMs: number, wanted: number): Promise<void> {
  // Unless told not to, a subscription that is silent connects anew and tells of it with GAP. This one gives up.
  const heartbeats = db.protocol.heartbeat({ interval_ms: intervalMs }, { silenceMs: SILENCE_MS, retry: { maxRetries: 0 } });
  for await (const item of heartbeats) {
    if (item.control) {
      continue;
    }
    console.log(`heartbeat ${item.data.sequence}`);
    if (item.data.sequence >= wanted) {
      return;
    }
  }
}

await listen(200, 3);
console.log("the server is alive");

// Here the heartbeats come so seldom that the second one looks like that of a server that hangs.
try {
  await listen(3_600_000, 2);
  throw new Error("the silence was not noticed");
} catch (error) {
  if (!(error instanceof ConnectionError)) {
    throw error;
  }
  console.log(`noticed: ${error.message}`);
}
console.log("done");
