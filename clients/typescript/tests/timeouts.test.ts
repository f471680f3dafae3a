import assert from "node:assert/strict";
import { test } from "node:test";

import { CallTimeoutError } from "../src/index.js";
import { sleep } from "../src/runtime/scope.js";
import { QUERY, callerOf, failure, problem, script, serve } from "./support.js";

test("a time-out is told to the server and kept by the client", async (t) => {
  const server = await serve(t, script("hang"));
  const error = await failure(callerOf(server).caller.call(QUERY, {}, { timeoutMs: 1_000 }));
  assert.ok(error instanceof CallTimeoutError);
  assert.equal(error.code, "CALL_TIMEOUT");
  assert.equal(error.operation, "shop.get");
  const told = Number(server.asked[0]?.headers["x-timeout-ms"]);
  assert.ok(told >= 1 && told <= 1_000, String(told));
  assert.equal(server.asked.length, 1);
});

test("the call's time-out stands before the client's", async (t) => {
  const server = await serve(t, script({ body: {} }));
  const { caller } = callerOf(server, { timeoutMs: 5_000 });
  await caller.call(QUERY, {});
  await caller.call(QUERY, {}, { timeoutMs: 90_000 });
  const told = server.asked.map((asked) => Number(asked.headers["x-timeout-ms"]));
  assert.ok(told[0] !== undefined && told[0] > 1_000 && told[0] <= 5_000, String(told));
  assert.ok(told[1] !== undefined && told[1] > 80_000 && told[1] <= 90_000, String(told));
});

test("without a time-out the server is told none", async (t) => {
  const server = await serve(t, script({ body: {} }));
  await callerOf(server).caller.call(QUERY, {});
  assert.equal(server.asked[0]?.headers["x-timeout-ms"], undefined);
});

test("a caller's abort ends the call with the signal's reason, without a retry", async (t) => {
  const controller = new AbortController();
  const reason = new Error("the user went away");
  const server = await serve(t, () => {
    controller.abort(reason);
    return "hang";
  });
  assert.equal(await failure(callerOf(server).caller.call(QUERY, {}, { signal: controller.signal })), reason);
  assert.equal(server.asked.length, 1);
});

test("an aborted signal sends nothing", async (t) => {
  const server = await serve(t, script({ body: {} }));
  const error = await failure(callerOf(server).caller.call(QUERY, {}, { signal: AbortSignal.abort() }));
  assert.equal((error as Error).name, "AbortError");
  assert.equal(server.asked.length, 0);
});

test("an abort ends the pause between tries", async (t) => {
  const controller = new AbortController();
  const server = await serve(t, script(problem(503, "UNAVAILABLE", { retry_after: 9 })));
  const { caller } = callerOf(server, {
    sleep: (ms, signal) => {
      queueMicrotask(() => controller.abort());
      return sleep(ms, signal);
    },
  });
  const error = await failure(caller.call(QUERY, {}, { signal: controller.signal }));
  assert.equal((error as Error).name, "AbortError");
  assert.equal(server.asked.length, 1);
});

test("a login that hangs does not outlive the call's time", async (t) => {
  const server = await serve(t, script("hang"));
  const { caller } = callerOf(server, { credentials: { username: "alice", password: "pw" } });
  assert.ok((await failure(caller.call(QUERY, {}, { timeoutMs: 60 }))) instanceof CallTimeoutError);
  assert.equal(server.asked[0]?.target, "/login");
});
