import assert from "node:assert/strict";
import { test } from "node:test";

import { ConnectionError, InvalidArgumentError, ResponseError, RustyDBError, UnavailableError, errorTable, isRustyDBError } from "../src/index.js";
import { QUERY, callerOf, failure, problem, script, serve, type Reply } from "./support.js";
import type { TestContext } from "node:test";

async function errorOf(t: TestContext, reply: Reply): Promise<RustyDBError> {
  const server = await serve(t, script(reply));
  const error = await failure(callerOf(server, { retry: { maxRetries: 0 } }).caller.call(QUERY, {}));
  assert.ok(error instanceof RustyDBError, String(error));
  return error;
}

test("an error of the contract is typed with all it carries", async (t) => {
  const error = await errorOf(t, problem(400, "INVALID_ARGUMENT", { details: { field: "rows.3.name" }, message: "no such column" }));
  assert.ok(error instanceof InvalidArgumentError);
  assert.equal(error.name, "InvalidArgumentError");
  assert.equal(error.code, "INVALID_ARGUMENT");
  assert.equal(error.status, 400);
  assert.equal(error.message, "no such column");
  assert.equal(error.requestId, "from-the-body");
  assert.equal(error.operation, "shop.get");
  assert.equal(error.retry, "never");
  assert.equal(error.details?.field, "rows.3.name");
});

test("the guard tells errors apart by code", async (t) => {
  const error: unknown = await errorOf(t, problem(503, "UNAVAILABLE", { retry_after: 7 }));
  assert.ok(isRustyDBError(error));
  assert.ok(!isRustyDBError(error, "INVALID_ARGUMENT"));
  assert.ok(isRustyDBError(error, "UNAVAILABLE"));
  const typed: UnavailableError = error;
  assert.equal(typed.retryAfterSeconds, 7);
  assert.ok(!isRustyDBError(new Error("other")));
});

test("every code of the contract becomes its own class", async (t) => {
  assert.ok(errorTable.size > 10);
  for (const [code, entry] of errorTable) {
    const error = await errorOf(t, problem(418, code));
    assert.equal(error.constructor, entry.type);
    assert.equal(error.code, code);
    assert.equal(error.retry, entry.retry);
  }
});

test("an unknown code keeps everything", async (t) => {
  for (const code of ["FROM_THE_FUTURE", "constructor", "__proto__"]) {
    const error = await errorOf(t, problem(409, code, { details: { a: [1] }, retry_after: 2 }));
    assert.equal(error.constructor, RustyDBError);
    assert.equal(error.code, code);
    assert.equal(error.status, 409);
    assert.deepEqual(error.details, { a: [1] });
    assert.equal(error.retryAfterSeconds, 2);
    assert.equal(error.retry, undefined);
    assert.equal(error.requestId, "from-the-body");
  }
});

test("a body that is no problem becomes an error too", async (t) => {
  for (const body of ["<html>Bad Gateway</html>", "", "null", "[1]", '{"error":"text"}', '{"error":{"code":5}}', '{"error":null}']) {
    const error = await errorOf(t, { status: 502, body, headers: { "X-Request-Id": "from-the-header", "Retry-After": "3" } });
    assert.equal(error.constructor, RustyDBError);
    assert.equal(error.code, "HTTP_502");
    assert.equal(error.status, 502);
    assert.equal(error.body, body);
    assert.equal(error.requestId, "from-the-header");
    assert.equal(error.retryAfterSeconds, 3);
  }
});

test("a success that is no JSON is a response error", async (t) => {
  for (const body of ["<html>", "", '{"cut":']) {
    const error = await errorOf(t, { status: 200, body });
    assert.ok(error instanceof ResponseError, error.name);
    assert.equal(error.code, "INVALID_RESPONSE");
    assert.equal(error.body, body);
  }
});

test("a server that is not there is a connection error", async (t) => {
  const error = await errorOf(t, "drop");
  assert.ok(error instanceof ConnectionError);
  assert.equal(error.code, "CONNECTION_FAILED");
  assert.equal(error.status, undefined);
  assert.ok(error.cause instanceof Error);
  assert.match(error.requestId, /^[0-9a-f]{32}$/);
});

test("an answer that is cut off is a connection error", async (t) => {
  const error = await errorOf(t, { status: 200, headers: { "Content-Length": "1000" }, body: '{"done":' });
  assert.ok(error instanceof ConnectionError, error.name);
});
