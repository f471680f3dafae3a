import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { InputError, RustyDB } from "../src/index.js";
import { encodeRequest } from "../src/runtime/request.js";
import { COMMAND, QUERY, callerOf, failure, operation, script, serve } from "./support.js";

test("path and query values are percent-encoded", () => {
  const found = operation({ path: "/tables/{name}/rows/{id}", query: [["filter", "text"]] });
  const request = encodeRequest(found, { name: "a b/ü?", id: "1%2F2", filter: "x=1&y=+2" });
  assert.equal(request.target, "/tables/a%20b%2F%C3%BC%3F/rows/1%252F2?filter=x%3D1%26y%3D%2B2");
});

test("booleans and numbers are text, arrays are repeated and JSON stays JSON", () => {
  const found = operation({
    query: [["flag", "text"], ["limit", "text"], ["ratio", "text"], ["tags", "list"], ["filter", "json"]],
  });
  const request = encodeRequest(found, { flag: false, limit: 0, ratio: 0.1, tags: ["a", "b&c"], filter: { eq: [1, null, "é"] } });
  const query = new URLSearchParams(request.target.slice("/get?".length));
  assert.deepEqual(
    [...query],
    [["flag", "false"], ["limit", "0"], ["ratio", "0.1"], ["tags", "a"], ["tags", "b&c"], ["filter", '{"eq":[1,null,"é"]}']],
  );
});

test("absent, null and value stay distinct in the body", () => {
  const found = operation({ method: "PATCH", body: ["a", "b", "c", "d"] });
  assert.equal(encodeRequest(found, { a: null, b: 1, c: undefined }).body, '{"a":null,"b":1}');
  assert.equal(encodeRequest(found, {}).body, "{}");
});

test("a path value that would change the route is refused", () => {
  for (const name of ["", ".", "..", "\ud800", undefined, null]) {
    assert.throws(() => encodeRequest(operation({ method: "DELETE", path: "/tables/{name}" }), { name }), /`name`/);
  }
});

test("what JSON has no form for is refused instead of becoming null", async (t) => {
  const server = await serve(t, script({ body: {} }));
  const { caller } = callerOf(server);
  for (const value of [NaN, Infinity, 5n, { deep: [-Infinity] }]) {
    const error = await failure(caller.call(COMMAND, { name: value }));
    assert.ok(error instanceof InputError, String(error));
    assert.equal(error.code, "INPUT_NOT_SENDABLE");
    assert.equal(error.operation, "shop.put");
  }
  const cyclic: Record<string, unknown> = {};
  cyclic["name"] = cyclic;
  assert.ok((await failure(caller.call(COMMAND, cyclic))) instanceof InputError);
  assert.equal(server.asked.length, 0);
});

test("a query carries its input in path and query and has no body", async (t) => {
  const server = await serve(t, script({ body: { found: true } }));
  const found = operation({ path: "/tables/{name}", query: [["limit", "text"]] });
  assert.deepEqual(await callerOf(server).caller.call(found, { name: "users", limit: 3 }), { found: true });
  const asked = server.asked[0];
  assert.equal(asked?.method, "GET");
  assert.equal(asked?.target, "/tables/users?limit=3");
  assert.equal(asked?.body, "");
  assert.equal(asked?.headers["content-type"], undefined);
});

test("a command carries a JSON body, and none without body inputs", async (t) => {
  const server = await serve(t, script({ status: 201, body: {} }));
  const { caller } = callerOf(server);
  await caller.call(COMMAND, { name: "users" });
  await caller.call(operation({ method: "POST", path: "/bare" }), {});
  assert.equal(server.asked[0]?.body, '{"name":"users"}');
  assert.equal(server.asked[0]?.headers["content-type"], "application/json");
  assert.equal(server.asked[1]?.body, "");
  assert.equal(server.asked[1]?.headers["content-type"], undefined);
});

test("an input the operation does not know reaches the server, which can refuse it", () => {
  assert.equal(encodeRequest(COMMAND, { name: "a", nmae: 1 }).body, '{"name":"a","nmae":1}');
  assert.equal(encodeRequest(QUERY, { nmae: [1] }).target, "/get?nmae=%5B1%5D");
});

test("an empty 204 is an empty object", async (t) => {
  const server = await serve(t, script({ status: 204 }));
  assert.deepEqual(await callerOf(server).caller.call(QUERY, {}), {});
});

test("every call has a request id of its own, or the given one", async (t) => {
  const server = await serve(t, script({ body: {} }));
  const { caller } = callerOf(server);
  await caller.call(QUERY, {});
  await caller.call(QUERY, {});
  await caller.call(QUERY, {}, { requestId: "mine" });
  const ids = server.asked.map((asked) => asked.headers["x-request-id"]);
  assert.match(String(ids[0]), /^[0-9a-f]{32}$/);
  assert.notEqual(ids[0], ids[1]);
  assert.equal(ids[2], "mine");
});

test("the client's own headers and a path before the routes are kept", async (t) => {
  const server = await serve(t, script({ body: {} }));
  const { caller } = callerOf({ ...server, url: `${server.url}/db/` }, { headers: { "X-Tenant": "a", Accept: "text/html" } });
  await caller.call(QUERY, {});
  assert.equal(server.asked[0]?.target, "/db/get");
  assert.equal(server.asked[0]?.headers["x-tenant"], "a");
  assert.equal(server.asked[0]?.headers["accept"], "application/json, application/problem+json");
});

test("a redirect is not followed: credentials stay with their server", async (t) => {
  const other = await serve(t, script({ body: {} }));
  const server = await serve(t, script({ status: 307, headers: { Location: `${other.url}/get` } }));
  const error = await failure(callerOf(server, { credentials: { apiKey: "secret" } }).caller.call(QUERY, {}));
  assert.equal((error as { code?: unknown }).code, "HTTP_307");
  assert.equal(other.asked.length, 0);
});

test("an address that is none is refused", () => {
  for (const url of ["", "localhost:8080", "ftp://host", "http://user:pw@host", "http://host/?a=1"]) {
    assert.throws(() => new RustyDB({ url }), TypeError, url);
  }
});

test("options outside of their range are refused", async () => {
  const url = "http://127.0.0.1:1";
  assert.throws(() => new RustyDB({ url, timeoutMs: 0 }), RangeError);
  assert.throws(() => new RustyDB({ url, retry: { maxRetries: -1 } }), RangeError);
  assert.throws(() => new RustyDB({ url, retry: { baseDelayMs: NaN } }), RangeError);
  assert.ok((await failure(new RustyDB({ url }).health.getSummary({}, { timeoutMs: -1 }))) instanceof RangeError);
});

test("credentials do not show their secret", () => {
  const db = new RustyDB({ url: "http://127.0.0.1:1", credentials: { username: "alice", password: "hunter2" } });
  assert.doesNotMatch(inspect(db, { depth: 10, showHidden: true }) + JSON.stringify(db), /hunter2/);
});

test("a generated method calls its route and answers what came", async (t) => {
  const answer = { status: "healthy", components: [{ name: "storage", status: "resting", check_us: 12, later: 1 }] };
  const server = await serve(t, script({ body: answer }));
  const summary = await new RustyDB({ url: server.url }).health.getSummary();
  // An unknown enumeration value and an unknown field are no failure.
  assert.deepEqual(summary, answer);
  assert.equal(server.asked[0]?.target, "/api/v1/health");
});
