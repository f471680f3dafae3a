/** Watches rows, definitions and transactions side by side, each with a loop of its own. */

import { RustyDB, type ColumnSpec, type Id64 } from "@rustydb/client";

const db = new RustyDB({
  url: process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080",
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

/** A name that no other run has. */
const table = `tasks_${Date.now()}`;

const key: ColumnSpec = { name: "id", type: "bigint" };
await db.database.createTable({ name: table, columns: [key], primary_key: ["id"] });

const rows = db.database.tableChanges({ table });
// `filter` takes the events whose data has these values; the server leaves the others out.
const definitions = db.database.schemaChanges({ filter: { object_name: table } });
const transactions = db.transactions.transactionEvents();

async function watchRows(): Promise<void> {
  for await (const item of rows) {
    if (item.control) {
      continue;
    }
    const { change_type, row } = item.data;
    console.log(`rows: ${change_type} ${row === undefined ? "of the whole table" : JSON.stringify(row.data)}`);
    if (change_type === "TRUNCATE") {
      return; // leaving a loop ends its subscription
    }
  }
}

async function watchDefinitions(): Promise<void> {
  for await (const item of definitions) {
    if (item.control) {
      continue;
    }
    const { change_type, object_type, user } = item.data;
    console.log(`definitions: ${change_type} ${object_type} by ${user}`);
    if (change_type === "TRUNCATE") {
      return;
    }
  }
}

async function watchTransaction(id: Id64): Promise<void> {
  for await (const item of transactions) {
    if (item.control?.kind === "GAP") {
      throw new Error("events of transactions were lost"); // the end of ours perhaps among them
    }
    if (item.control || item.data.transaction_id !== id) {
      continue;
    }
    console.log(`transactions: ${item.data.event_type}, ${item.data.modified_rows ?? "no"} rows changed`);
    if (item.data.event_type !== "BEGIN") {
      return;
    }
  }
}

async function write(id: Id64): Promise<void> {
  await db.database.insertRows({ name: table, rows: [{ id: 1 }, { id: 2 }], transaction_id: id });
  await db.transactions.commit({ id });
  await db.database.replaceTable({ name: table, columns: [key, { name: "note", type: "text" }], primary_key: ["id"] });
  await db.sql.truncateTable({ name: table });
}

try {
  // What happens once all have been acknowledged is told; the loops may begin later.
  await Promise.all([rows.acknowledged(), definitions.acknowledged(), transactions.acknowledged()]);
  const { transaction_id } = await db.transactions.begin();
  await Promise.all([watchRows(), watchDefinitions(), watchTransaction(transaction_id), write(transaction_id)]);
} finally {
  // Of those that ended already, nothing is left to close.
  await Promise.all([rows.close(), definitions.close(), transactions.close()]);
  await db.database.dropTable({ name: table });
}
console.log("done");
