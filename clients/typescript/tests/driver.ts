/**
 * Calls by operation id, through the typed methods: what the parity tests drive this client with.
 *
 * `driver.js BASE_URL` reads one JSON object a line, `{"op", "input", "credential": {"bearer"} | {"api_key"} | null,
 * "iterate"?}`, and answers each with a line `{"ok": output}` or `{"error": {...}}`. Retries are off, so that a
 * test sees each answer.
 */

import { createInterface } from "node:readline";

import { RustyDB, RustyDBError, type Credentials } from "../src/index.js";
import { calls, iterators } from "./generated/dispatch.js";

interface Line {
  readonly op: string;
  readonly input: object;
  readonly credential: Credentials | undefined;
  readonly iterate: boolean;
}

class BadLine extends Error {}

function parseLine(text: string): Line {
  const line = JSON.parse(text) as Record<string, unknown>;
  const { op, input = {}, credential = null, iterate = false } = line;
  if (typeof op !== "string" || typeof input !== "object" || input === null || typeof iterate !== "boolean") {
    throw new BadLine("a line has `op`, an object `input`, `credential` and perhaps `iterate`");
  }
  return { op, input, credential: credentialOf(credential), iterate };
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

const url = process.argv[2];
if (url === undefined) {
  console.error("usage: driver.js BASE_URL");
  process.exit(2);
}
for await (const text of createInterface({ input: process.stdin })) {
  let answer: unknown;
  try {
    const line = parseLine(text);
    const db = new RustyDB({ url, credentials: line.credential, retry: { maxRetries: 0 } });
    answer = { ok: await call(db, line) };
  } catch (error) {
    answer = { error: errorLine(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
