/** Watches a table: the rows that are there, then every change as it is committed. */

import { RustyDB } from "@rustydb/client";

const db = new RustyDB({
  url: process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080",
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

/** A name that no other run has. */
const table = `orders_${Date.now()}`;

async function write(): Promise<void> {
  await db.database.insertRows({ name: table, rows: [{ id: 2, status: "pending" }] });
  await db.database.updateRow({ name: table, id: "2", values: { status: "paid" } });
  await db.database.deleteRow({ name: table, id: "2" });
}

await db.database.createTable({
  name: table,
  columns: [{ name: "id", type: "bigint" }, { name: "status", type: "text" }],
  primary_key: ["id"],
});
try {
  await db.database.insertRows({ name: table, rows: [{ id: 1, status: "shipped" }] });

  // With `snapshot` no row is missed between reading the table and watching it.
  for await (const item of db.database.tableChanges({ table, snapshot: true })) {
    if (item.control) {
      console.log(`${item.control.kind}: ${item.control.count ?? "no"} rows`);
      if (item.control.kind === "SNAPSHOT_COMPLETE") {
        await write();
      }
      continue;
    }
    const { change_type, row, old_row } = item.data;
    console.log(`${change_type}: ${JSON.stringify(old_row?.data ?? null)} -> ${JSON.stringify(row?.data ?? null)}`);
    if (change_type === "DELETE") {
      break; // ends the subscription
    }
  }
} finally {
  await db.database.dropTable({ name: table });
}
console.log("done");
