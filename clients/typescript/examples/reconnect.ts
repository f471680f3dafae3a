/**
 * Loses the connection of a subscription in the middle, and shows that no change was lost and none came twice.
 *
 * The server cuts the connection here because an administrator asks it to. A restart of the server, or of the network,
 * looks the same to a program, only that it takes longer.
 */

import { RustyDB } from "@rustydb/client";

const url = process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080";
const db = new RustyDB({
  url,
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

/** Names that no other run has. The user has one connection, which tells it from those of other programs. */
const table = `readings_${Date.now()}`;
const reader = { username: `reader_${Date.now()}`, password: crypto.randomUUID() };

type Changes = ReturnType<typeof db.database.tableChanges>;

/** Id of the reader's connection. */
async function connectionId(): Promise<string> {
  for await (const connection of db.websocket.listConnectionsItems()) {
    if (connection.username === reader.username) {
      return connection.connection_id;
    }
  }
  throw new Error("the reader is not connected");
}

async function write(from: number, to: number): Promise<void> {
  for (let id = from; id <= to; id += 1) {
    await db.database.insertRows({ name: table, rows: [{ id }] });
  }
}

/** Ids of the rows that were inserted, up to this one. */
async function readUpTo(last: number, changes: Changes): Promise<number[]> {
  const ids: number[] = [];
  while (ids.at(-1) !== last) {
    const { done, value: item } = await changes.next();
    if (done) {
      throw new Error("the subscription ended");
    }
    if (item.data) {
      ids.push(Number(item.data.row?.id));
    }
  }
  return ids;
}

await db.admin.createUser({ ...reader, roles: ["analyst"] });
await db.database.createTable({ name: table, columns: [{ name: "id", type: "bigint" }], primary_key: ["id"] });
const readerDb = new RustyDB({ url, credentials: reader });
// Waits between tries begin at up to 50 ms and grow to 2 s. Without a number of tries it never gives up.
const changes = readerDb.database.tableChanges({ table }, { retry: { baseDelayMs: 50, maxDelayMs: 2_000 } });
try {
  await changes.acknowledged();

  await write(1, 10);
  const received = await readUpTo(5, changes);
  const kept = changes.cursor;
  if (kept === undefined) {
    throw new Error("a change came without a cursor");
  }
  console.log(`received ${received.join(" ")}`);

  const first = await connectionId();
  await db.websocket.disconnect({ id: first });
  await write(11, 20);
  console.log(`${first} was cut, and more was written`);

  received.push(...(await readUpTo(20, changes)));
  const second = await connectionId();
  console.log(`received ${received.slice(5).join(" ")}, the last of them over ${second}`);
  if (second === first) {
    throw new Error("the connection was not cut");
  }
  if (received.length !== 20 || received.some((id, at) => id !== at + 1)) {
    throw new Error("changes were lost or doubled");
  }
  console.log("nothing was lost, nothing came twice");

  // A program that starts again goes on in the same way, from the cursor that it kept.
  const resumed = readerDb.database.tableChanges({ table, cursor: kept });
  try {
    console.log(`another subscription, from the kept cursor: ${(await readUpTo(20, resumed)).join(" ")}`);
  } finally {
    await resumed.close();
  }
} finally {
  await changes.close();
  await db.admin.deleteUser({ id: reader.username });
  await db.database.dropTable({ name: table });
}
console.log("done");
