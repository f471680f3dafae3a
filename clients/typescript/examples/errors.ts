/** Meets errors, tells them apart by their types, and runs a transaction again where the error says so. */

import { InvalidArgumentError, RustyDB, RustyDBError, UniqueViolationError, isRustyDBError, type InvalidArgumentDetails } from "@rustydb/client";

const db = new RustyDB({
  url: process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080",
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

/** A name that no other run has. */
const table = `stock_${Date.now()}`;

/** What the promise fails with. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error("a call succeeded that should have failed");
}

/** Takes one from the stock, in a transaction that reads what is there. */
async function takeOne(beforeCommit: () => Promise<void>): Promise<void> {
  const { transaction_id } = await db.transactions.begin();
  try {
    const { data } = await db.database.getRow({ name: table, id: "1", transaction_id });
    await beforeCommit();
    await db.database.updateRow({ name: table, id: "1", values: { count: Number(data["count"]) - 1 }, transaction_id });
  } catch (error) {
    await db.transactions.rollback({ id: transaction_id });
    throw error;
  }
  // A commit that fails has rolled back by itself.
  await db.transactions.commit({ id: transaction_id });
}

await db.database.createTable({
  name: table,
  columns: [{ name: "id", type: "bigint" }, { name: "count", type: "bigint" }],
  primary_key: ["id"],
});
try {
  await db.database.insertRows({ name: table, rows: [{ id: 1, count: 10 }] });

  // By code: the compiler knows all codes.
  const missing = await failureOf(db.database.getRow({ name: table, id: "99" }));
  if (!isRustyDBError(missing, "ROW_NOT_FOUND")) {
    throw missing;
  }
  console.log(`not found: ${missing.code}, status ${missing.status}, retry ${missing.retry}: ${missing.message}`);

  // By class.
  const taken = await failureOf(db.database.insertRows({ name: table, rows: [{ id: 1, count: 5 }] }));
  if (!(taken instanceof UniqueViolationError)) {
    throw taken;
  }
  console.log(`taken: ${taken.code}, status ${taken.status}, retry ${taken.retry}: ${taken.message}`);

  // Some errors have details.
  const wrong = await failureOf(db.database.queryRows({ name: table, limit: 0 }));
  if (!(wrong instanceof InvalidArgumentError)) {
    throw wrong;
  }
  const { field } = wrong.details as InvalidArgumentDetails;
  console.log(`bad input: ${wrong.code} in the field ${field}: ${wrong.message} (request ${wrong.requestId})`);

  // Where `retry` is "safe" the client has tried again by itself before it throws. Where it is "transaction", the
  // program begins the transaction again: here after somebody else took one first.
  let isFirst = true;
  for (let tries = 1; ; tries += 1) {
    try {
      await takeOne(async () => {
        if (isFirst) {
          isFirst = false;
          await db.sql.executeQuery({ sql: `UPDATE ${table} SET count = count - 1 WHERE id = 1` });
        }
      });
      console.log(`the transaction was committed by try ${tries}`);
      break;
    } catch (error) {
      if (!(error instanceof RustyDBError) || error.retry !== "transaction" || tries === 5) {
        throw error;
      }
      console.log(`conflict: ${error.code}, retry ${error.retry}`);
    }
  }
  const row = await db.database.getRow({ name: table, id: "1" });
  console.log(`two were taken of 10: ${JSON.stringify(row.data)}`);
} finally {
  await db.database.dropTable({ name: table });
}
console.log("done");
