import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { ConnectionError, CursorExpiredError, InputError, ResponseError, RustyDBError, type StreamControlItem, type StreamEvent, type Subscription, type SubscriptionOptions } from "../src/index.js";
import type { ClientOptions } from "../src/runtime/options.js";
import { CHANGES, MOMENT, TELEMETRY, callerOf, failure, problem, script, serve, type Events, type Reply, type TestServer } from "./support.js";

type Numbered = StreamEvent<"Changed", { n: number }>;
type Control = { kind: string; count?: number };
type Item = Numbered | StreamControlItem<Control>;
type Watched = Subscription<Numbered, Control>;

interface Watching {
  readonly server: TestServer;
  readonly subscription: Watched;
  readonly pauses: number[];
}

interface Given {
  readonly view?: typeof CHANGES;
  readonly input?: object;
  readonly options?: SubscriptionOptions;
  readonly client?: Partial<ClientOptions>;
}

/** A subscription to a server that answers each connection as the script says; it ends with the test. */
async function watch(t: TestContext, replies: Reply[], { view = CHANGES, input = {}, options = {}, client = {} }: Given = {}): Promise<Watching> {
  const server = await serve(t, script(...replies));
  const { caller, pauses } = callerOf(server, client);
  const subscription: Watched = caller.subscribe(view, input, options);
  t.after(() => subscription.close());
  return { server, subscription, pauses };
}

async function take(subscription: Watched, count: number): Promise<Item[]> {
  const items: Item[] = [];
  while (items.length < count) {
    const { done, value } = await subscription.next();
    assert.ok(done !== true, `ended after ${items.length} items`);
    items.push(value);
  }
  return items;
}

async function numbers(subscription: Watched, count: number): Promise<(number | string)[]> {
  return (await take(subscription, count)).map((item) => item.data?.n ?? item.control?.kind ?? "nothing");
}

/** Sends the events of these numbers, each with its number in its cursor. */
async function send(events: Events, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n += 1) {
    await events.event({ n }, `c${n}`);
  }
}

const code = async (work: Promise<unknown>): Promise<string> => ((await failure(work)) as RustyDBError).code;

test("events and controls come typed and in order, bookmarks only move the cursor", async (t) => {
  const { subscription, server } = await watch(t, [
    async (events) => {
      await events.acknowledge("c0");
      await events.event({ n: 1 }, "c1");
      await events.control({ kind: "FELL_BEHIND", count: 3 });
      await events.control({ kind: "BOOKMARK" }, "c5");
      await events.event({ n: 2 }, "c6");
    },
  ], { input: { cursor: "c0", nmae: 1 }, options: { requestId: "mine" } });
  assert.equal(subscription.cursor, "c0");
  const [first, told] = await take(subscription, 2);
  assert.deepEqual(first, { event: "Changed", data: { n: 1 }, timestamp: MOMENT, cursor: "c1" });
  assert.deepEqual(told, { control: { kind: "FELL_BEHIND", count: 3 }, timestamp: MOMENT });
  assert.equal(subscription.cursor, "c1");
  assert.deepEqual(await numbers(subscription, 1), [2]);
  assert.equal(subscription.cursor, "c6");
  const asked = server.asked[0];
  assert.equal(asked?.target, "/watch?cursor=c0&nmae=1");
  assert.match(String(asked?.headers["accept"]), /^text\/event-stream/);
  assert.equal(asked?.headers["x-request-id"], "mine");
});

test("the acknowledgement can be awaited and tells the cursor", async (t) => {
  let acknowledge = (): void => undefined;
  const asked = new Promise<void>((resolve) => (acknowledge = resolve));
  const { subscription, server } = await watch(t, [
    async (events) => {
      await asked;
      await events.acknowledge("c3");
      await events.event({ n: 4 }, "c4");
    },
  ]);
  assert.equal(server.asked.length, 0, "nothing is sent before it is used");
  let isAcknowledged = false;
  const acknowledged = subscription.acknowledged().then(() => (isAcknowledged = true));
  const item = subscription.next();
  assert.equal(isAcknowledged, false);
  acknowledge();
  await acknowledged;
  await subscription.acknowledged();
  assert.deepEqual((await item).value, { event: "Changed", data: { n: 4 }, timestamp: MOMENT, cursor: "c4" });
  assert.equal(server.asked.length, 1);
});

test("the cursor of the acknowledgement is known before any event", async (t) => {
  const { subscription } = await watch(t, [(events) => events.acknowledge("c3")]);
  await subscription.acknowledged();
  assert.equal(subscription.cursor, "c3");
});

test("changes go on behind the last one that was handed out, each exactly once", async (t) => {
  const TOTAL = 60;
  const seen: (string | undefined)[] = [];
  const server = await serve(t, ({ headers }, at) => async (events: Events) => {
    const header = headers["last-event-id"] as string | undefined;
    seen.push(header);
    const from = Number(header?.slice(1) ?? "0");
    await events.acknowledge(`c${from}`);
    if (at % 4 === 3) {
      return events.cut();
    }
    await send(events, from + 1, Math.min(TOTAL, from + 1 + (at % 3)));
    if (at % 3 === 0) {
      await events.error("UNAVAILABLE", 503);
    }
    if (at % 2 === 0) {
      await events.write(`id: c${from + 9}\nevent: Changed\ndata: {"event": "Chan`);
    }
    if (at % 5 === 0) {
      events.end();
    } else {
      events.cut();
    }
  });
  const { caller, pauses } = callerOf(server);
  const subscription: Watched = caller.subscribe(CHANGES, {});
  assert.deepEqual(await numbers(subscription, TOTAL), Array.from({ length: TOTAL }, (_, at) => at + 1));
  await subscription.close();
  assert.ok(seen.length > 10 && pauses.length === seen.length - 1, `${seen.length} connections`);
  assert.equal(seen[0], undefined);
  assert.ok(seen.slice(1).every((header) => header !== undefined), String(seen));
});

test("what was bookmarked is not asked for again", async (t) => {
  const { subscription, server } = await watch(t, [
    async (events) => {
      await events.acknowledge("c0");
      await events.control({ kind: "BOOKMARK" }, "c8");
      events.end();
    },
    async (events) => {
      await events.acknowledge("c8");
      await events.event({ n: 9 }, "c9");
    },
  ]);
  assert.deepEqual(await numbers(subscription, 1), [9]);
  assert.equal(server.asked[1]?.headers["last-event-id"], "c8");
});

test("rows of a snapshot are not sent twice: a loss before any cursor is told", async (t) => {
  const { subscription, server } = await watch(t, [
    async (events) => {
      await events.acknowledge();
      await events.event({ n: 1 });
      events.end();
    },
  ]);
  assert.deepEqual(await numbers(subscription, 1), [1]);
  assert.ok((await failure(subscription.next())) instanceof ConnectionError);
  assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  assert.equal(server.asked.length, 1);
});

test("telemetry starts afresh and tells of the gap", async (t) => {
  const { subscription, server } = await watch(t, [
    async (events) => {
      await events.acknowledge("ignored");
      await events.event({ n: 1 }, "ignored");
      events.end();
    },
    "drop",
    async (events) => {
      await events.acknowledge();
      await events.event({ n: 7 });
    },
  ], { view: TELEMETRY });
  const [, gap, next] = await take(subscription, 3);
  assert.deepEqual(gap?.control, { kind: "GAP" });
  assert.match(gap?.timestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.equal(next?.data?.n, 7);
  assert.equal(subscription.cursor, undefined);
  assert.equal(server.asked[2]?.headers["last-event-id"], undefined);
});

test("telemetry that was never acknowledged has no gap", async (t) => {
  const { subscription } = await watch(t, [
    "drop",
    async (events) => {
      await events.acknowledge();
      await events.event({ n: 1 });
    },
  ], { view: TELEMETRY });
  assert.deepEqual(await numbers(subscription, 1), [1]);
});

const OPEN: Reply = async (events) => {
  await events.acknowledge("c0");
  await events.event({ n: 1 }, "c1");
};

test("a server that is down, has failed or has too much to do is asked again, with back-off", async (t) => {
  const replies = ["drop", problem(503, "UNAVAILABLE"), { status: 502, body: "<html>" }, problem(500, "INTERNAL"), problem(429, "TOO_MANY_SUBSCRIPTIONS"), OPEN] as const;
  const { subscription, pauses, server } = await watch(t, [...replies], { options: { retry: { maxDelayMs: 600 } } });
  assert.deepEqual(await numbers(subscription, 1), [1]);
  assert.deepEqual(pauses, [50, 100, 200, 300, 300]);
  assert.equal(new Set(server.asked.map((asked) => asked.headers["x-request-id"])).size, 1);
});

test("a connection that only opens does not begin the back-off anew, one that brings something does", async (t) => {
  const empty: Reply = async (events) => {
    await events.acknowledge("c0");
    events.end();
  };
  const alive: Reply = async (events) => {
    await events.acknowledge("c0");
    await events.write(":\n\n");
    events.end();
  };
  const { subscription, pauses } = await watch(t, [empty, empty, empty, alive, OPEN]);
  assert.deepEqual(await numbers(subscription, 1), [1]);
  assert.deepEqual(pauses, [50, 100, 200, 50]);
});

test("the wait that the server asks for is kept, from the body, the header or the stream", async (t) => {
  const header = { ...problem(429, "RATE_LIMITED"), headers: { "Retry-After": "30" } };
  const stream: Reply = async (events) => {
    await events.acknowledge("c0");
    await events.error("UNAVAILABLE", 503, { retry_after: 2 });
  };
  const { subscription, pauses } = await watch(t, [problem(503, "UNAVAILABLE", { retry_after: 1.5 }), header, stream, OPEN]);
  assert.deepEqual(await numbers(subscription, 1), [1]);
  assert.deepEqual(pauses, [1_500, 30_000, 2_000]);
});

test("attempts can be limited", async (t) => {
  const { subscription, server } = await watch(t, ["drop"], { options: { retry: { maxRetries: 2 } } });
  assert.equal(await code(subscription.acknowledged()), "CONNECTION_FAILED");
  assert.equal(await code(subscription.next()), "CONNECTION_FAILED");
  assert.equal(server.asked.length, 3);
});

test("errors at opening are thrown as their types", async (t) => {
  const { subscription, server } = await watch(t, [problem(410, "CURSOR_EXPIRED")]);
  const error = await failure(subscription.acknowledged());
  assert.ok(error instanceof CursorExpiredError, String(error));
  assert.equal(error.operation, "shop.watch");
  assert.equal(error.requestId, "from-the-body");
  assert.equal(server.asked.length, 1);
});

test("errors in the stream are thrown as their types, after what came before them", async (t) => {
  const { subscription, server } = await watch(t, [
    async (events) => {
      await events.acknowledge("c0");
      await send(events, 1, 2);
      await events.error("CURSOR_EXPIRED", 410, { message: "too old", details: { oldest: "c9" } });
    },
  ]);
  assert.deepEqual(await numbers(subscription, 2), [1, 2]);
  const error = await failure(subscription.next());
  assert.ok(error instanceof CursorExpiredError, String(error));
  assert.deepEqual([error.status, error.message, error.requestId, error.details], [410, "too old", "of-the-error", { oldest: "c9" }]);
  assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  assert.equal(server.asked.length, 1);
});

test("answers and events that are not in the contract's form are response errors", async (t) => {
  const after = (text: string): Reply => async (events) => {
    await events.acknowledge("c0");
    await events.write(text);
  };
  const replies: Reply[] = [
    { body: "<html>", headers: { "Content-Type": "text/html" } },
    { status: 204, headers: { "Content-Type": "text/event-stream" } },
    after("data: {\n\n"),
    after("data: 5\n\n"),
    after("data: {}\n\n"),
    after("event: error\ndata: oh\n\n"),
    after("event: error\ndata: null\n\n"),
  ];
  for (const reply of replies) {
    const { subscription } = await watch(t, [reply]);
    assert.ok((await failure(subscription.next())) instanceof ResponseError);
  }
});

test("an input that cannot be sent is refused at once", async (t) => {
  const server = await serve(t, script("hang"));
  assert.throws(() => callerOf(server).caller.subscribe(CHANGES, { n: NaN }), InputError);
  assert.throws(() => callerOf(server).caller.subscribe(CHANGES, {}, { silenceMs: 0 }), RangeError);
  assert.equal(server.asked.length, 0);
});

test("a silent connection counts as lost, comments count as life", async (t) => {
  const { subscription, server } = await watch(t, [
    async (events) => {
      await events.acknowledge("c0");
      await events.event({ n: 1 }, "c1");
      // Says nothing more, until the client gives it up.
      await events.gone;
    },
    "hang",
    async (events) => {
      await events.acknowledge("c1");
      const timer = setInterval(() => void events.write(":\n\n").catch(() => undefined), 10);
      await Promise.race([events.gone, new Promise((resolve) => setTimeout(resolve, 400))]);
      clearInterval(timer);
      await events.event({ n: 2 }, "c2");
    },
  ], { options: { silenceMs: 200 } });
  assert.deepEqual(await numbers(subscription, 2), [1, 2]);
  assert.equal(server.asked.length, 3);
});

test("a client that does not read is not taken for a silent server", async (t) => {
  const { subscription, server } = await watch(t, [
    async (events) => {
      await events.acknowledge("c0");
      await send(events, 1, 2);
    },
  ], { options: { silenceMs: 30 } });
  assert.deepEqual(await numbers(subscription, 1), [1]);
  // Longer than the silence; that nothing happens has no other sign than that.
  await new Promise((resolve) => setTimeout(resolve, 90));
  assert.deepEqual(await numbers(subscription, 1), [2]);
  assert.equal(server.asked.length, 1);
});

/** Tokens that are good until they are said to be expired. */
function sessions(stream: (events: Events, token: number) => Promise<void>): { answer: (asked: { target: string; headers: Record<string, unknown> }) => Reply; counts: Record<string, number>; expire: () => void } {
  const counts: Record<string, number> = { "/login": 0, "/refresh": 0 };
  let issued = 0;
  let good = 0;
  const answer = ({ target, headers }: { target: string; headers: Record<string, unknown> }): Reply => {
    if (target in counts) {
      counts[target] = (counts[target] ?? 0) + 1;
      issued += 1;
      good = issued;
      return { body: { access_token: `access-${issued}`, refresh_token: `refresh-${issued}` } };
    }
    const token = issued;
    return headers["authorization"] === `Bearer access-${good}` ? (events) => stream(events, token) : problem(401, "TOKEN_EXPIRED");
  };
  return { answer, counts, expire: () => (good = 0) };
}

const PASSWORD = { username: "alice", password: "correct horse" };

test("a token that expires is refreshed, at opening and in the stream, and nothing is lost", async (t) => {
  const { answer, counts, expire } = sessions(async (events, token) => {
    await events.acknowledge(`c${token - 1}`);
    await events.event({ n: token }, `c${token}`);
    if (token === 1) {
      expire();
      await events.error("TOKEN_EXPIRED", 401);
    } else if (token === 2) {
      // Cut, and only the next opening tells that the token is no longer good.
      expire();
      events.end();
    }
  });
  const server = await serve(t, answer);
  const { caller, pauses } = callerOf(server, { credentials: PASSWORD });
  const subscription: Watched = caller.subscribe(CHANGES, {});
  assert.deepEqual(await numbers(subscription, 3), [1, 2, 3]);
  await subscription.close();
  assert.deepEqual(counts, { "/login": 1, "/refresh": 2 });
  assert.equal(pauses.length, 1, "only the cut connection waits");
});

test("tokens that expire as soon as they are used are refreshed with back-off", async (t) => {
  const { answer, expire } = sessions(async (events, token) => {
    await events.acknowledge("c0");
    if (token < 4) {
      expire();
      await events.error("TOKEN_EXPIRED", 401);
    } else {
      await events.event({ n: token }, "c1");
    }
  });
  const server = await serve(t, answer);
  const { caller, pauses } = callerOf(server, { credentials: PASSWORD });
  const subscription: Watched = caller.subscribe(CHANGES, {});
  assert.deepEqual(await numbers(subscription, 1), [4]);
  await subscription.close();
  assert.deepEqual(pauses, [50, 100]);
});

test("a token that nobody can refresh, and a refusal with a new one, are told", async (t) => {
  const bearer = await watch(t, [problem(401, "TOKEN_EXPIRED")], { client: { credentials: { bearer: "old" } } });
  assert.equal(await code(bearer.subscription.next()), "TOKEN_EXPIRED");
  assert.equal(bearer.server.asked.length, 1);
  let tokens = 0;
  const refused = await watch(t, [problem(401, "TOKEN_EXPIRED"), problem(403, "PERMISSION_DENIED")], {
    client: { credentials: { bearer: () => `token-${(tokens += 1)}` } },
  });
  assert.equal(await code(refused.subscription.next()), "PERMISSION_DENIED");
  assert.equal(refused.server.asked.length, 2);
});

/** A stream that never ends, and its end as the server sees it. */
function endless(): { reply: Reply; gone: Promise<void> } {
  let tell = (): void => undefined;
  const gone = new Promise<void>((resolve) => (tell = resolve));
  const reply: Reply = async (events) => {
    void events.gone.then(tell);
    await events.acknowledge("c0");
    await send(events, 1, 3);
  };
  return { reply, gone };
}

test("leaving the loop ends the connection", async (t) => {
  const { reply, gone } = endless();
  const { subscription, server } = await watch(t, [reply]);
  for await (const item of subscription) {
    if (item.event === "Changed" && item.data.n === 2) {
      break;
    }
  }
  await gone;
  assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  assert.equal(subscription.cursor, "c2");
  assert.equal(server.asked.length, 1);
});

test("close ends the connection, and who waits is done", async (t) => {
  const { reply, gone } = endless();
  const { subscription } = await watch(t, [reply]);
  await take(subscription, 3);
  const waiting = subscription.next();
  await subscription.close();
  await gone;
  assert.deepEqual(await waiting, { done: true, value: undefined });
  await subscription.close();
});

test("close ends an opening and a pause", async (t) => {
  let asked = (): void => undefined;
  const wasAsked = new Promise<void>((resolve) => (asked = resolve));
  const server = await serve(t, () => {
    asked();
    return "hang";
  });
  const opening = callerOf(server).caller.subscribe(CHANGES, {});
  const acknowledged = failure(opening.acknowledged());
  await wasAsked;
  await opening.close();
  assert.equal(((await acknowledged) as Error).name, "AbortError");

  let pausing = (): void => undefined;
  const isPausing = new Promise<void>((resolve) => (pausing = resolve));
  const sleep = (): Promise<void> => {
    pausing();
    return new Promise(() => undefined);
  };
  const paused = await watch(t, ["drop"], { client: { sleep } });
  const next = paused.subscription.next();
  await isPausing;
  await paused.subscription.close();
  assert.deepEqual(await next, { done: true, value: undefined });
});

test("one that is closed before it is used sends nothing", async (t) => {
  const { subscription, server } = await watch(t, [OPEN]);
  await subscription.close();
  assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  assert.equal(server.asked.length, 0);
});

test("an abort ends the connection with the signal's reason, waited for or not", async (t) => {
  const reason = new Error("the user went away");
  for (const isWaiting of [true, false]) {
    const { reply, gone } = endless();
    const controller = new AbortController();
    const { subscription } = await watch(t, [reply], { options: { signal: controller.signal } });
    await take(subscription, isWaiting ? 3 : 1);
    const waiting = isWaiting ? failure(subscription.next()) : undefined;
    controller.abort(reason);
    await gone;
    assert.equal(await (waiting ?? failure(subscription.next())), reason);
    assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  }
  const { subscription, server } = await watch(t, [OPEN], { options: { signal: AbortSignal.abort(reason) } });
  assert.equal(await failure(subscription.acknowledged()), reason);
  assert.equal(server.asked.length, 0);
});

test("a client that does not read holds the server back", async (t) => {
  const TOTAL = 64 * 16;
  const text = "x".repeat(64 * 1024);
  let full = (): void => undefined;
  const isFull = new Promise<void>((resolve) => (full = resolve));
  let sent = 0;
  const { subscription } = await watch(t, [
    async (events) => {
      await events.acknowledge("c0");
      for (let n = 1; n <= TOTAL; n += 1) {
        const taken = events.event({ n, text }, `c${n}`);
        if (events.isFull) {
          // The system takes no more, though it had the time to.
          const timer = setTimeout(full, 200);
          await taken;
          clearTimeout(timer);
        }
        sent = n;
      }
    },
  ]);
  await take(subscription, 1);
  await isFull;
  assert.ok(sent < TOTAL / 2, `${sent} events of 64 KiB were taken and nobody read them`);
  assert.deepEqual(await numbers(subscription, TOTAL - 1), Array.from({ length: TOTAL - 1 }, (_, at) => at + 2));
});
