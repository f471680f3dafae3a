import assert from "node:assert/strict";
import { test } from "node:test";

import { RustyDBError } from "../src/index.js";
import { QUERY, callerOf, failure, operation, problem, serve, type Asked, type Reply } from "./support.js";

const PASSWORD = { username: "alice", password: "correct horse" };

/** A server with sessions: each token is good until `expire` is called. */
class Sessions {
  readonly counts = { login: 0, refresh: 0 };
  refuseRefresh = false;
  #good = "";
  #refresh = "";
  #issued = 0;

  expire(): void {
    this.#good = "";
  }

  answer(asked: Asked): Reply {
    if (asked.target === "/login") {
      this.counts.login += 1;
      const { username, password } = JSON.parse(asked.body) as { username: string; password: string };
      return username === PASSWORD.username && password === PASSWORD.password ? this.#issue() : problem(401, "INVALID_CREDENTIALS");
    }
    if (asked.target === "/refresh") {
      this.counts.refresh += 1;
      const { refresh_token } = JSON.parse(asked.body) as { refresh_token: string };
      const good = !this.refuseRefresh && refresh_token === this.#refresh;
      return good ? this.#issue() : problem(401, "INVALID_REFRESH_TOKEN");
    }
    const good = this.#good !== "" && asked.headers["authorization"] === `Bearer ${this.#good}`;
    return good ? { body: { done: true } } : problem(401, "TOKEN_EXPIRED");
  }

  #issue(): Reply {
    this.#issued += 1;
    this.#good = `access-${this.#issued}`;
    this.#refresh = `refresh-${this.#issued}`;
    return { body: { access_token: this.#good, refresh_token: this.#refresh, expires_in: 3600, token_type: "Bearer" } };
  }
}

test("a token and an API key are sent as they are", async (t) => {
  const server = await serve(t, () => ({ body: {} }));
  await callerOf(server, { credentials: { bearer: "t" } }).caller.call(QUERY, {});
  await callerOf(server, { credentials: { bearer: async () => "later" } }).caller.call(QUERY, {});
  await callerOf(server, { credentials: { apiKey: "k" } }).caller.call(QUERY, {});
  await callerOf(server).caller.call(QUERY, {});
  const sent = server.asked.map(({ headers }) => [headers["authorization"], headers["x-api-key"]]);
  assert.deepEqual(sent, [["Bearer t", undefined], ["Bearer later", undefined], [undefined, "k"], [undefined, undefined]]);
});

test("a password logs in once and refreshes once for many callers", async (t) => {
  const sessions = new Sessions();
  const server = await serve(t, (asked) => sessions.answer(asked));
  const { caller } = callerOf(server, { credentials: PASSWORD });
  const many = (): Promise<unknown[]> => Promise.all(Array.from({ length: 20 }, () => caller.call(QUERY, {})));
  assert.equal(sessions.counts.login, 0);
  await many();
  assert.deepEqual(sessions.counts, { login: 1, refresh: 0 });
  sessions.expire();
  assert.deepEqual(await many(), Array(20).fill({ done: true }));
  assert.deepEqual(sessions.counts, { login: 1, refresh: 1 });
});

test("a call that learns late of the expiry uses the token others refreshed", async (t) => {
  const sessions = new Sessions();
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const server = await serve(t, async (asked) => {
    const reply = sessions.answer(asked);
    if (asked.target === "/late" && asked.headers["authorization"] === "Bearer access-1") {
      await gate;
    }
    return reply;
  });
  const { caller } = callerOf(server, { credentials: PASSWORD });
  await caller.call(QUERY, {});
  sessions.expire();
  const late = caller.call(operation({ path: "/late" }), {});
  await caller.call(QUERY, {});
  release();
  assert.deepEqual(await late, { done: true });
  assert.deepEqual(sessions.counts, { login: 1, refresh: 1 });
});

test("a refresh that is refused leads to one new login", async (t) => {
  const sessions = new Sessions();
  const server = await serve(t, (asked) => sessions.answer(asked));
  const { caller } = callerOf(server, { credentials: PASSWORD });
  await caller.call(QUERY, {});
  sessions.expire();
  sessions.refuseRefresh = true;
  await Promise.all([caller.call(QUERY, {}), caller.call(QUERY, {})]);
  assert.deepEqual(sessions.counts, { login: 2, refresh: 1 });
});

test("a refresh whose answer was lost keeps the session for the next call", async (t) => {
  const sessions = new Sessions();
  let lose = true;
  const server = await serve(t, (asked) => {
    if (asked.target === "/refresh" && lose) {
      lose = false;
      return "drop";
    }
    return sessions.answer(asked);
  });
  const { caller } = callerOf(server, { credentials: PASSWORD });
  await caller.call(QUERY, {});
  sessions.expire();
  assert.equal(((await failure(caller.call(QUERY, {}))) as RustyDBError).code, "CONNECTION_FAILED");
  assert.deepEqual(await caller.call(QUERY, {}), { done: true });
  assert.deepEqual(sessions.counts, { login: 1, refresh: 1 });
});

test("a token that stays expired is told after one refresh", async (t) => {
  const sessions = new Sessions();
  const server = await serve(t, (asked) => {
    const reply = sessions.answer(asked);
    sessions.expire();
    return reply;
  });
  const { caller } = callerOf(server, { credentials: PASSWORD });
  assert.equal(((await failure(caller.call(QUERY, {}))) as RustyDBError).code, "TOKEN_EXPIRED");
  assert.deepEqual(sessions.counts, { login: 1, refresh: 1 });
});

test("an expired token without a password is the caller's", async (t) => {
  const server = await serve(t, () => problem(401, "TOKEN_EXPIRED"));
  for (const credentials of [{ bearer: "old" }, { bearer: () => "old" }, { apiKey: "old" }]) {
    const before = server.asked.length;
    assert.equal(((await failure(callerOf(server, { credentials }).caller.call(QUERY, {}))) as RustyDBError).code, "TOKEN_EXPIRED");
    assert.equal(server.asked.length, before + 1);
  }
});

test("a function that gives another token is asked again", async (t) => {
  const server = await serve(t, (asked) => (asked.headers["authorization"] === "Bearer old" ? problem(401, "TOKEN_EXPIRED") : { body: { done: true } }));
  let asked = 0;
  const bearer = (): string => (asked++ === 0 ? "old" : "new");
  assert.deepEqual(await callerOf(server, { credentials: { bearer } }).caller.call(QUERY, {}), { done: true });
});

test("a wrong password is told and tried anew by the next call", async (t) => {
  const sessions = new Sessions();
  const server = await serve(t, (asked) => sessions.answer(asked));
  const { caller } = callerOf(server, { credentials: { username: "alice", password: "guess" } });
  for (const logins of [1, 2]) {
    assert.equal(((await failure(caller.call(QUERY, {}))) as RustyDBError).code, "INVALID_CREDENTIALS");
    assert.equal(sessions.counts.login, logins);
  }
});

test("a public operation causes no login", async (t) => {
  const sessions = new Sessions();
  const server = await serve(t, (asked) => (asked.target === "/get" ? { body: {} } : sessions.answer(asked)));
  await callerOf(server, { credentials: PASSWORD }).caller.call(operation({ public: true }), {});
  assert.deepEqual(sessions.counts, { login: 0, refresh: 0 });
});

test("one caller's abort leaves the login to the others", async (t) => {
  const sessions = new Sessions();
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const server = await serve(t, async (asked) => {
    if (asked.target === "/login") {
      await gate;
    }
    return sessions.answer(asked);
  });
  const { caller } = callerOf(server, { credentials: PASSWORD });
  const controller = new AbortController();
  const aborted = failure(caller.call(QUERY, {}, { signal: controller.signal }));
  const other = caller.call(QUERY, {});
  controller.abort();
  assert.equal(((await aborted) as Error).name, "AbortError");
  release();
  assert.deepEqual(await other, { done: true });
  assert.equal(sessions.counts.login, 1);
});

test("an answer of the login without tokens is a response error", async (t) => {
  const server = await serve(t, () => ({ body: { access_token: 5 } }));
  const { caller } = callerOf(server, { credentials: PASSWORD });
  assert.equal(((await failure(caller.call(QUERY, {}))) as RustyDBError).code, "INVALID_RESPONSE");
});
