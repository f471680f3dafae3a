/** Runs SQL with parameters, reads rows as objects, and changes two rows in one transaction. */

import { RustyDB } from "@rustydb/client";

const db = new RustyDB({
  url: process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080",
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

/** What a row of the queries below holds. */
interface Account {
  id: number;
  owner: string;
  cents: number;
}

/** A name that no other run has. */
const table = `accounts_${Date.now()}`;

/** Accounts with at least so much, the richest first. A value goes beside the statement, never into its text. */
async function accountsFrom(cents: number): Promise<Account[]> {
  const result = await db.sql.executeQuery({
    sql: `SELECT id, owner, cents FROM ${table} WHERE cents >= $1 ORDER BY cents DESC`,
    params: [cents],
  });
  return result.rows as unknown as Account[];
}

/** Both accounts change, or none does. */
async function transfer(from: number, to: number, cents: number): Promise<void> {
  const { transaction_id } = await db.transactions.begin();
  try {
    const sql = `UPDATE ${table} SET cents = cents + $1 WHERE id = $2`;
    await db.sql.executeQuery({ sql, params: [-cents, from], transaction_id });
    await db.sql.executeQuery({ sql, params: [cents, to], transaction_id });
  } catch (error) {
    await db.transactions.rollback({ id: transaction_id });
    throw error;
  }
  const { rows_changed } = await db.transactions.commit({ id: transaction_id });
  console.log(`transferred ${cents} cents: ${rows_changed} rows changed at once`);
}

await db.sql.executeQuery({ sql: `CREATE TABLE ${table} (id bigint PRIMARY KEY, owner text NOT NULL, cents bigint NOT NULL)` });
try {
  const inserted = await db.sql.executeQuery({
    sql: `INSERT INTO ${table} VALUES ($1, $2, $3), ($4, $5, $6)`,
    params: [1, "Ada", 5_000, 2, "Grace", 2_000],
  });
  console.log(`inserted ${inserted.rows_affected} rows by SQL`);

  // The same without SQL.
  await db.database.insertRows({ name: table, rows: [{ id: 3, owner: "Edsger", cents: 10 }] });
  await db.database.updateRow({ name: table, id: "3", values: { cents: 20 } });
  const row = await db.database.getRow({ name: table, id: "3" });
  console.log(`row 3 is ${JSON.stringify(row.data)}`);

  await transfer(1, 2, 4_000);
  for (const account of await accountsFrom(1_000)) {
    console.log(`${account.owner} has ${account.cents} cents`);
  }
} finally {
  await db.database.dropTable({ name: table });
}
console.log("done");
