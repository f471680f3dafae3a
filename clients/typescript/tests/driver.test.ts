import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { MOMENT, problem, serve, type Events, type Reply } from "./support.js";

/** Gives the lines to a driver and reads as many answers. */
async function drive(url: string, lines: unknown[]): Promise<unknown[]> {
  const driver = spawn(process.execPath, [fileURLToPath(new URL("./driver.js", import.meta.url)), url], { stdio: ["pipe", "pipe", "inherit"] });
  driver.stdin.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const answers: unknown[] = [];
  for await (const line of createInterface({ input: driver.stdout })) {
    answers.push(JSON.parse(line));
  }
  return answers;
}

test("the driver answers each line with what the typed method did", async (t) => {
  const server = await serve(t, ({ target, headers }) => {
    if (target === "/api/v1/auth/api-keys?limit=1") {
      return { body: { api_keys: [{ id: "a" }], next: "n" } };
    }
    if (target === "/api/v1/auth/api-keys?limit=1&after=n") {
      return { body: { api_keys: [{ id: "b" }] } };
    }
    if (target === "/api/v1/auth/logout") {
      return { body: {} };
    }
    return target === "/api/v1/health" ? { body: { seen: headers["x-api-key"] ?? headers["authorization"] ?? "nobody" } } : problem(503, "UNAVAILABLE");
  });
  const answers = await drive(server.url, [
    { op: "health.get_summary", input: {}, credential: null },
    { op: "health.get_summary", input: {}, credential: { bearer: "t" } },
    { op: "health.get_summary", input: {}, credential: { api_key: "k" } },
    { op: "auth.list_api_keys", input: { limit: 1 }, credential: null, iterate: true },
    { op: "auth.logout", input: {}, credential: { bearer: "t" } },
    { op: "health.get_detail", input: {}, credential: null },
    { op: "no.such", input: {}, credential: null },
  ]);
  assert.deepEqual(answers.slice(0, 6), [
    { ok: { seen: "nobody" } },
    { ok: { seen: "Bearer t" } },
    { ok: { seen: "k" } },
    { ok: [{ id: "a" }, { id: "b" }] },
    { ok: {} },
    { error: { code: "UNAVAILABLE", status: 503, message: "UNAVAILABLE happened", request_id: "from-the-body", details: null, class: "UnavailableError" } },
  ]);
  assert.match(JSON.stringify(answers[6]), /"class":"BadLine"/);
  assert.equal(server.asked.length, 7);
});

test("the driver answers a watch when it is acknowledged and when its events have come", async (t) => {
  const server = await serve(t, ({ target }): Reply => {
    if (target === "/api/v1/sse/protocol/heartbeat?interval_ms=100") {
      return async (events: Events) => {
        await events.acknowledge();
        await events.event({ sequence: 1 }, undefined, "Heartbeat");
      };
    }
    if (target === "/api/v1/sse/database/schema-changes?cursor=c0") {
      return async (events: Events) => {
        await events.acknowledge("c0");
        await events.event({ object_name: "a" }, "c1", "SchemaChanged");
        await events.control({ kind: "FELL_BEHIND", count: 2 });
        await events.event({ object_name: "b" }, "c2", "SchemaChanged");
      };
    }
    return target === "/api/v1/sse/database/schema-changes" ? async (events: Events) => {
      await events.acknowledge("c0");
      await events.error("CURSOR_EXPIRED", 410);
    } : problem(404, "TABLE_NOT_FOUND");
  });
  const answers = await drive(server.url, [
    { watch: "protocol.heartbeat", input: { interval_ms: 100 }, credential: null, take: 1 },
    { watch: "database.schema_changes", input: { cursor: "c0" }, credential: null, take: 2 },
    { watch: "database.schema_changes", input: {}, credential: null, take: 1 },
    { watch: "database.table_changes", input: { table: "none" }, credential: null, take: 1 },
    { watch: "no.such", input: {}, credential: null, take: 1 },
    { watch: "protocol.heartbeat", input: {}, credential: null },
  ]);
  assert.deepEqual(answers.slice(0, 5), [
    { ok: { cursor: null } },
    { ok: [{ event: "Heartbeat", data: { sequence: 1 }, timestamp: MOMENT }] },
    { ok: { cursor: "c0" } },
    {
      ok: [
        { event: "SchemaChanged", data: { object_name: "a" }, timestamp: MOMENT, cursor: "c1" },
        { event: "SchemaChanged", data: { object_name: "b" }, timestamp: MOMENT, cursor: "c2" },
      ],
    },
    { ok: { cursor: "c0" } },
  ]);
  assert.deepEqual(
    answers.slice(5).map((answer) => (answer as { error: { class: string } }).error.class),
    ["CursorExpiredError", "TableNotFoundError", "BadLine", "BadLine"],
  );
});
