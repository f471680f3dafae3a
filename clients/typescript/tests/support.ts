/** A local HTTP server that answers as a test says and remembers what it was asked. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import { errorTable } from "../src/generated/errors.js";
import { Caller, type AuthOperations } from "../src/runtime/caller.js";
import type { Operation, View } from "../src/runtime/operation.js";
import type { ClientOptions } from "../src/runtime/options.js";

export interface Asked {
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** An object is sent as JSON, text as it is. */
  readonly body?: unknown;
}

/** An answer of events: what it sends, and when, is up to the function. */
export type Streaming = (events: Events) => void | Promise<void>;

/** `drop` cuts the connection before an answer, `hang` never answers. */
export type Reply = Answer | "drop" | "hang" | Streaming;

/** The server's side of an answer of events. */
export class Events {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Resolves once the client or the server ended the connection. */
  readonly gone: Promise<void>;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
    this.gone = new Promise((resolve) => response.once("close", resolve));
    response.writeHead(200, { "Content-Type": "text/event-stream", "X-Request-Id": "of-the-stream" });
  }

  /** Resolves once the operating system took it. */
  write(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => this.#response.write(data, (error) => (error ? reject(error) : resolve())));
  }

  /** Whether the system took all that was written, or keeps some of it waiting for the client. */
  get isFull(): boolean {
    return this.#response.writableNeedDrain;
  }

  acknowledge(cursor?: string): Promise<void> {
    return this.write(`: subscribed\n${cursor === undefined ? "" : `id: ${cursor}\n`}\n`);
  }

  event(data: unknown, cursor?: string, event = "Changed"): Promise<void> {
    return this.#frame(event, { event, data, timestamp: MOMENT, cursor }, cursor);
  }

  control(control: { kind: string; count?: number }, cursor?: string): Promise<void> {
    return this.#frame(control.kind.toLowerCase(), { control, timestamp: MOMENT, cursor }, cursor);
  }

  /** The event that ends a stream. */
  error(code: string, status: number, more: object = {}): Promise<void> {
    return this.#frame("error", { code, status, request_id: "of-the-error", ...more }, undefined);
  }

  /** Ends the answer as HTTP has it. */
  end(): void {
    this.#response.end();
  }

  /** Breaks the connection in the middle of the answer. */
  cut(): void {
    this.#request.socket.destroy();
  }

  #frame(event: string, data: object, id: string | undefined): Promise<void> {
    return this.write(`event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
  }
}

/** Of every event that a test sends. */
export const MOMENT = "2026-01-31T12:00:00.000000Z";

export interface TestServer {
  readonly url: string;
  readonly asked: Asked[];
}

/** Answers the first request with the first reply and so on; the last one is repeated. */
export function script(...replies: Reply[]): (asked: Asked, at: number) => Reply {
  return (_, at) => replies[Math.min(at, replies.length - 1)] ?? { body: {} };
}

export async function serve(t: TestContext, answer: (asked: Asked, at: number) => Reply | Promise<Reply>): Promise<TestServer> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void (async (): Promise<void> => {
      const one: Asked = { method: request.method ?? "", target: request.url ?? "", headers: request.headers, body: await bodyOf(request) };
      const at = asked.push(one) - 1;
      send(request, response, await answer(one, at));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if (reply === "drop") {
    request.socket.destroy();
  } else if (typeof reply === "function") {
    void reply(new Events(request, response));
  } else if (reply !== "hang") {
    const text = reply.body === undefined ? "" : typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
    response.writeHead(reply.status ?? 200, { "Content-Type": "application/json", ...reply.headers });
    response.end(text, () => {
      // A body shorter than announced: the connection ends in the middle of the answer.
      if (Number(reply.headers?.["Content-Length"] ?? 0) > text.length) {
        request.socket.destroy();
      }
    });
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) {
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** An answer that is an error of the contract. */
export function problem(status: number, code: string, more: { retry_after?: number; details?: unknown; message?: string } = {}): Answer {
  const error = { code, message: more.message ?? `${code} happened`, ...more };
  return { status, body: { type: "about:blank", title: code, status, detail: error.message, request_id: "from-the-body", error } };
}

export function operation(more: Partial<Operation> = {}): Operation {
  return { id: "shop.get", method: "GET", path: "/get", query: [], body: [], retrySafe: true, public: false, timeoutMs: 30_000, ...more };
}

export const QUERY = operation();
export const COMMAND = operation({ id: "shop.put", method: "POST", path: "/put", body: ["name"], retrySafe: false });

export const CHANGES: View = { ...operation({ id: "shop.watch", path: "/watch" }), class: "changes" };
export const TELEMETRY: View = { ...CHANGES, class: "telemetry" };

export const AUTH: AuthOperations = {
  login: operation({ id: "auth.login", method: "POST", path: "/login", body: ["username", "password"], retrySafe: false, public: true }),
  refresh: operation({ id: "auth.refresh", method: "POST", path: "/refresh", body: ["refresh_token"], retrySafe: false, public: true }),
};

/** A caller whose pauses are noted instead of waited for, with jitter in the middle. */
export function callerOf(server: TestServer, options: Partial<ClientOptions> = {}): { caller: Caller; pauses: number[] } {
  const pauses: number[] = [];
  const sleep = async (ms: number): Promise<void> => {
    pauses.push(ms);
  };
  const caller = new Caller({ url: server.url, sleep, random: () => 0.5, ...options }, errorTable, AUTH);
  return { caller, pauses };
}

/** What the promise rejects with; fails when it does not. */
export async function failure(call: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await call;
  } catch (error) {
    return error;
  }
  throw new Error(`expected a failure, got ${JSON.stringify(value)}`);
}
