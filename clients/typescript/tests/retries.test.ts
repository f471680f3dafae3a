import assert from "node:assert/strict";
import { test } from "node:test";

import { ConnectionError, RustyDBError } from "../src/index.js";
import { mayRetry } from "../src/runtime/retry.js";
import { COMMAND, QUERY, callerOf, failure, problem, script, serve } from "./support.js";

const OK = { body: { done: true } };

test("an error that is safe to retry is retried for any operation", async (t) => {
  for (const operation of [QUERY, COMMAND]) {
    const server = await serve(t, script(problem(503, "UNAVAILABLE"), OK));
    assert.deepEqual(await callerOf(server).caller.call(operation, {}), { done: true });
    assert.equal(server.asked.length, 2);
  }
});

test("the request id is kept over retries", async (t) => {
  const server = await serve(t, script(problem(503, "UNAVAILABLE"), problem(503, "UNAVAILABLE"), OK));
  await callerOf(server).caller.call(COMMAND, {});
  assert.equal(new Set(server.asked.map((asked) => asked.headers["x-request-id"])).size, 1);
  assert.equal(server.asked.length, 3);
});

test("pauses double with full jitter and end", async (t) => {
  const server = await serve(t, script(problem(503, "UNAVAILABLE")));
  const { caller, pauses } = callerOf(server, { retry: { maxRetries: 5, baseDelayMs: 100, maxDelayMs: 500 } });
  const error = await failure(caller.call(QUERY, {}));
  assert.equal((error as RustyDBError).code, "UNAVAILABLE");
  assert.deepEqual(pauses, [50, 100, 200, 250, 250]);
  assert.equal(server.asked.length, 6);
});

test("three retries unless said", async (t) => {
  const server = await serve(t, script("drop"));
  const { caller, pauses } = callerOf(server);
  assert.ok((await failure(caller.call(QUERY, {}))) instanceof ConnectionError);
  assert.equal(server.asked.length, 4);
  assert.deepEqual(pauses, [50, 100, 200]);
});

test("retry_after is honoured, from the body or the header", async (t) => {
  const header = { ...problem(503, "UNAVAILABLE"), headers: { "Retry-After": "4" } };
  const server = await serve(t, script(problem(503, "UNAVAILABLE", { retry_after: 1.5 }), header, OK));
  const { caller, pauses } = callerOf(server);
  await caller.call(QUERY, {});
  assert.deepEqual(pauses, [1500, 4000]);
});

test("a server that asks for more than the policy waits is answered at once", async (t) => {
  const server = await serve(t, script(problem(503, "UNAVAILABLE", { retry_after: 3600 }), OK));
  const { caller, pauses } = callerOf(server);
  assert.equal(((await failure(caller.call(QUERY, {}))) as RustyDBError).retryAfterSeconds, 3600);
  assert.deepEqual(pauses, []);
});

test("a pause beyond the time-out is not begun", async (t) => {
  const server = await serve(t, script(problem(503, "UNAVAILABLE", { retry_after: 9 }), OK));
  const { caller, pauses } = callerOf(server);
  assert.equal(((await failure(caller.call(QUERY, {}, { timeoutMs: 5000 }))) as RustyDBError).code, "UNAVAILABLE");
  assert.deepEqual(pauses, []);
  assert.equal(server.asked.length, 1);
});

test("an error that would come again is not retried", async (t) => {
  for (const code of ["INVALID_ARGUMENT", "INTERNAL", "FROM_THE_FUTURE"]) {
    const server = await serve(t, script(problem(503, code), OK));
    assert.equal(((await failure(callerOf(server).caller.call(QUERY, {}))) as RustyDBError).code, code);
    assert.equal(server.asked.length, 1);
  }
});

test("a transaction is never retried by one of its calls", () => {
  const conflict = { code: "SERIALIZATION_CONFLICT", message: "", operation: "", requestId: "", status: 409 };
  for (const operation of [QUERY, COMMAND]) {
    assert.equal(mayRetry(operation, new RustyDBError({ ...conflict, retry: "transaction" })), false);
    assert.equal(mayRetry(operation, new RustyDBError({ ...conflict, retry: "safe" })), true);
  }
});

test("a gateway error is retried only where the contract allows", async (t) => {
  for (const status of [502, 503, 504]) {
    const query = await serve(t, script({ status, body: "<html>" }, OK));
    assert.deepEqual(await callerOf(query).caller.call(QUERY, {}), { done: true });
    const command = await serve(t, script({ status }, OK));
    assert.equal(((await failure(callerOf(command).caller.call(COMMAND, {}))) as RustyDBError).code, `HTTP_${status}`);
    assert.equal(command.asked.length, 1);
  }
  const other = await serve(t, script({ status: 500, body: "<html>" }, OK));
  assert.equal(((await failure(callerOf(other).caller.call(QUERY, {}))) as RustyDBError).code, "HTTP_500");
});

test("a lost connection is retried only where the contract allows", async (t) => {
  const query = await serve(t, script("drop", OK));
  assert.deepEqual(await callerOf(query).caller.call(QUERY, {}), { done: true });
  const command = await serve(t, script("drop", OK));
  assert.ok((await failure(callerOf(command).caller.call(COMMAND, {}))) instanceof ConnectionError);
  assert.equal(command.asked.length, 1);
  const safe = await serve(t, script("drop", OK));
  assert.deepEqual(await callerOf(safe).caller.call({ ...COMMAND, retrySafe: true }, {}), { done: true });
});

test("retries can be turned off for one call", async (t) => {
  const server = await serve(t, script(problem(503, "UNAVAILABLE"), OK));
  await failure(callerOf(server).caller.call(QUERY, {}, { maxRetries: 0 }));
  assert.equal(server.asked.length, 1);
});
