/** What the compiler must accept and refuse; each `@ts-expect-error` fails the check when nothing is wrong there. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  HealthStatusValues,
  type DatabaseEventsEvent,
  type ExactlyOneOf,
  type HealthStatus,
  type HealthSummary,
  type Id64,
  type Open,
  type RustyDB,
  type StreamControl,
  type StreamControlItem,
  type TableRowChange,
} from "../src/index.js";

type Choice = ExactlyOneOf<{ name: string; id?: number; key?: string | null; child?: Choice }, "id" | "key">;

test("exactly one of the choices is asked for", () => {
  const byId: Choice = { name: "a", id: 1 };
  const byKey: Choice = { name: "a", key: null, child: byId };
  // @ts-expect-error: none of them.
  const none: Choice = { name: "a" };
  // @ts-expect-error: both of them.
  const both: Choice = { name: "a", id: 1, key: "k" };
  assert.equal([byId, byKey, none, both].length, 4);
});

test("enumerations are open in answers and closed in inputs", () => {
  const read: Open<HealthStatus> = "from a newer server";
  const answer: HealthSummary = { status: read, components: [] };
  // @ts-expect-error: no value of the contract.
  const written: HealthStatus = "from a newer server";
  assert.equal(answer.status, written);
  assert.deepEqual([...HealthStatusValues], ["healthy", "degraded", "unhealthy"]);
});

test("ids are no numbers, and no text that is not one", () => {
  const id: Id64 = "18446744073709551615";
  // @ts-expect-error: a number loses digits.
  const fromNumber: Id64 = 5;
  // @ts-expect-error: not an integer.
  const fromText: Id64 = "five";
  assert.equal([id, fromNumber, fromText].length, 3);
});

test("absent and undefined differ, and required inputs are required", () => {
  const calls = (db: RustyDB): unknown[] => [
    db.auth.createApiKey({ name: "a" }),
    // @ts-expect-error: optional is not undefined.
    db.auth.createApiKey({ name: "a", expires_in_days: undefined }),
    // @ts-expect-error: optional is not null.
    db.auth.createApiKey({ name: "a", expires_in_days: null }),
    // @ts-expect-error: `name` is missing.
    db.auth.createApiKey({}),
    // @ts-expect-error: no such field.
    db.auth.createApiKey({ name: "a", nmae: "b" }),
    // @ts-expect-error: an operation without inputs takes none.
    db.health.getSummary({ verbose: true }),
  ];
  assert.equal(typeof calls, "function");
});

test("items of a subscription are told apart by their event, or by their control", () => {
  const told = (item: DatabaseEventsEvent | StreamControlItem<StreamControl>): unknown => {
    if (item.control) {
      return item.control.count;
    }
    // @ts-expect-error: a field of one of the events only.
    const tooEarly: unknown = item.data.table;
    return item.event === "TableModified" ? item.data.table : (item.data.object_name ?? tooEarly);
  };
  const watch = async (db: RustyDB): Promise<void> => {
    const changes = db.database.tableChanges({ table: "a" }, { retry: { maxRetries: 3 } });
    for await (const item of changes) {
      const change: TableRowChange | undefined = item.data;
      assert.equal(item.control === undefined, change !== undefined);
    }
    // @ts-expect-error: `table` is missing.
    db.database.tableChanges();
    db.protocol.heartbeat();
    // @ts-expect-error: telemetry has no cursor.
    db.protocol.heartbeat({ cursor: "c" });
  };
  assert.equal(told({ control: { kind: "GAP", count: 3 }, timestamp: "" }), 3);
  assert.equal(typeof watch, "function");
});
