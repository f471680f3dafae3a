import assert from "node:assert/strict";
import { test } from "node:test";

import { RustyDB, RustyDBError, type ApiKey } from "../src/index.js";
import { failure, problem, serve, type Asked, type Reply } from "./support.js";

function key(id: number): ApiKey {
  return { id: String(id), name: `key ${id}`, created_at: "2026-01-31T12:00:00.000000Z", expired: false };
}

/** Seven keys in pages of `limit`, the cursor being the number of keys before. */
function pages(asked: Asked): Reply {
  const query = new URL(asked.target, "http://host").searchParams;
  const start = Number(query.get("after") ?? 0);
  const end = Math.min(7, start + Number(query.get("limit")));
  const api_keys = Array.from({ length: end - start }, (_, at) => key(start + at));
  return { body: end < 7 ? { api_keys, next: String(end) } : { api_keys } };
}

test("items follow next over all pages with the same input", async (t) => {
  const server = await serve(t, pages);
  const db = new RustyDB({ url: server.url, credentials: { bearer: "t" } });
  const ids: string[] = [];
  for await (const item of db.auth.listApiKeysItems({ limit: 3 })) {
    ids.push(item.id);
  }
  assert.deepEqual(ids, ["0", "1", "2", "3", "4", "5", "6"]);
  assert.deepEqual(
    server.asked.map((asked) => asked.target.split("?")[1]),
    ["limit=3", "limit=3&after=3", "limit=3&after=6"],
  );
});

test("items can start behind a cursor", async (t) => {
  const server = await serve(t, pages);
  const ids: string[] = [];
  for await (const item of new RustyDB({ url: server.url }).auth.listApiKeysItems({ limit: 10, after: "5" })) {
    ids.push(item.id);
  }
  assert.deepEqual(ids, ["5", "6"]);
});

test("a page is fetched only when it is needed", async (t) => {
  const server = await serve(t, pages);
  const items = new RustyDB({ url: server.url }).auth.listApiKeysItems({ limit: 2 });
  assert.equal(server.asked.length, 0);
  await items.next();
  await items.next();
  assert.equal(server.asked.length, 1);
  await items.next();
  assert.equal(server.asked.length, 2);
  await items.return();
  assert.equal((await items.next()).done, true);
  assert.equal(server.asked.length, 2);
});

test("an error ends the items", async (t) => {
  const server = await serve(t, (asked, at) => (at === 0 ? pages(asked) : problem(403, "PERMISSION_DENIED")));
  const items = new RustyDB({ url: server.url }).auth.listApiKeysItems({ limit: 1 });
  assert.equal((await items.next()).done, false);
  assert.equal(((await failure(items.next())) as RustyDBError).code, "PERMISSION_DENIED");
  assert.equal((await items.next()).done, true);
});

test("a page that leads to itself is an error, not an endless walk", async (t) => {
  const server = await serve(t, () => ({ body: { api_keys: [key(1)], next: "same" } }));
  const walk = async (): Promise<void> => {
    for await (const _ of new RustyDB({ url: server.url }).auth.listApiKeysItems()) {
      void _;
    }
  };
  assert.equal(((await failure(walk())) as RustyDBError).code, "INVALID_RESPONSE");
  assert.equal(server.asked.length, 2);
});
