/**
 * Calls by operation id, through the typed methods: what the parity tests drive this client with.
 *
 * `driver.js BASE_URL` reads one JSON object a line, `{"op", "input", "credential": {"bearer"} | {"api_key"} | null,
 * "iterate"?}`, and answers each with a line `{"ok": output}` or `{"error": {...}}`. Retries are off, so that a
 * test sees each answer.
 *
 * `{"watch": view id, "input", "credential", "take": count}` is answered with `{"ok": {"cursor"}}` once the subscription
 * is acknowledged, and then with `{"ok": [event, ...]}` once so many events came; an error takes the place of either.
 */

import { createInterface } from "node:readline";

import { RustyDB, RustyDBError, type Credentials } from "../src/index.js";
import { calls, iterators, watches } from "./generated/dispatch.js";

interface Line {
  readonly op: string;
  /** Events to take, when it is a view that is watched. */
  readonly take: number | undefined;
  readonly input: object;
  readonly credential: Credentials | undefined;
  readonly iterate: boolean;
}

class BadLine extends Error {}

function parseLine(text: string): Line {
  const line = JSON.parse(text) as Record<string, unknown>;
  const { watch, op = watch, take, input = {}, credential = null, iterate = false } = line;
  if (typeof op !== "string" || typeof input !== "object" || input === null || typeof iterate !== "boolean") {
    throw new BadLine("a line has `op` or `watch`, an object `input`, `credential` and perhaps `iterate`");
  }
  if (watch !== undefined && !Number.isSafeInteger(take)) {
    throw new BadLine("`watch` needs `take`, a count of events");
  }
  return { op, take: watch === undefined ? undefined : (take as number), input, credential: credentialOf(credential), iterate };
}

function credentialOf(value: unknown): Credentials | undefined {
  if (value === null) {
    return undefined;
  }
  const { bearer, api_key: apiKey } = value as Record<string, unknown>;
  if (typeof bearer === "string") {
    return { bearer };
  }
  if (typeof apiKey === "string") {
    return { apiKey };
  }
  throw new BadLine("`credential` is {bearer}, {api_key} or null");
}

async function call(db: RustyDB, line: Line): Promise<unknown> {
  if (!line.iterate) {
    const typed = calls.get(line.op);
    if (typed === undefined) {
      throw new BadLine(`no operation ${line.op}`);
    }
    return typed(db, line.input);
  }
  const typed = iterators.get(line.op);
  if (typed === undefined) {
    throw new BadLine(`no paginated operation ${line.op}`);
  }
  const items: unknown[] = [];
  for await (const item of typed(db, line.input)) {
    items.push(item);
  }
  return items;
}

/** Answers twice: what the acknowledgement told, and the events. */
async function* watch(db: RustyDB, line: Line, take: number): AsyncGenerator<unknown> {
  const typed = watches.get(line.op);
  if (typed === undefined) {
    throw new BadLine(`no view ${line.op}`);
  }
  const subscription = typed(db, line.input, { retry: { maxRetries: 0 } });
  try {
    await subscription.acknowledged();
    yield { cursor: subscription.cursor ?? null };
    const events: unknown[] = [];
    while (events.length < take) {
      const { done, value: item } = await subscription.next();
      if (done === true) {
        break;
      }
      if ("event" in item) {
        events.push(item);
      }
    }
    yield events;
  } finally {
    await subscription.close();
  }
}

function errorLine(error: unknown): unknown {
  const fields = error instanceof RustyDBError ? error : undefined;
  return {
    code: fields?.code ?? "CLIENT",
    // No server answered.
    status: fields?.status ?? 0,
    message: error instanceof Error ? error.message : String(error),
    request_id: fields?.requestId ?? null,
    details: fields?.details ?? null,
    class: error instanceof Error ? error.constructor.name : typeof error,
  };
}

function answer(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const url = process.argv[2];
if (url === undefined) {
  console.error("usage: driver.js BASE_URL");
  process.exit(2);
}
for await (const text of createInterface({ input: process.stdin })) {
  try {
    const line = parseLine(text);
    const db = new RustyDB({ url, credentials: line.credential, retry: { maxRetries: 0 } });
    if (line.take === undefined) {
      answer({ ok: await call(db, line) });
    } else {
      for await (const ok of watch(db, line, line.take)) {
        answer({ ok });
      }
    }
  } catch (error) {
    answer({ error: errorLine(error) });
  }
}
