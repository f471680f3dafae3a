/** Takes the rows of large results as the server makes them: of one result all, of another as many as are needed. */

import { RustyDB } from "@rustydb/client";

const db = new RustyDB({
  url: process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080",
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

/** A name that no other run has. */
const table = `numbers_${Date.now()}`;

/** Rows the table has; a join of it with itself has the square of it. */
const COUNT = 1_000;
const pairs = `SELECT a.n AS a, b.n AS b FROM ${table} a CROSS JOIN ${table} b`;

async function wholeResult(): Promise<void> {
  let received = 0;
  // Many rows an event cost less than an event for each.
  const result = db.query.results({ sql: `${pairs} WHERE b.n <= $1`, params: [50], rows_per_event: 1_000 });
  for await (const item of result) {
    switch (item.event) {
      case "QueryRows":
        received += item.data.rows.length;
        break;
      case "QueryCompleted":
        console.log(`received ${received} rows of ${item.data.rows_returned}`);
        break;
      case "QueryError":
        throw new Error(`${item.data.code}: ${item.data.message}`);
    }
  }
}

async function firstRows(wanted: number): Promise<void> {
  const rows: unknown[] = [];
  for await (const item of db.query.results({ sql: pairs })) {
    if (item.event === "QueryError") {
      throw new Error(`${item.data.code}: ${item.data.message}`);
    }
    if (item.event !== "QueryRow") {
      continue;
    }
    rows.push(item.data.row_data);
    if (rows.length === wanted) {
      break; // ends the statement on the server too
    }
  }
  console.log(`ended after ${rows.length} rows of ${COUNT * COUNT}, the first of them ${JSON.stringify(rows[0])}`);
}

await db.database.createTable({ name: table, columns: [{ name: "n", type: "bigint" }], primary_key: ["n"] });
try {
  await db.database.insertRows({ name: table, rows: Array.from({ length: COUNT }, (_, at) => ({ n: at + 1 })) });
  await wholeResult();
  await firstRows(10);
} finally {
  await db.database.dropTable({ name: table });
}
console.log("done");
