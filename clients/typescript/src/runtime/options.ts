/** What a client and a call can be told, and the defaults. */

import { DEFAULT_RETRY, type RetryPolicy } from "./retry.js";
import { TIMER_MS_MAX, sleep } from "./scope.js";

/** The part of an answer the client reads. */
export interface FetchAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
  /** Only subscriptions need it. */
  readonly body?: ReadableStream<Uint8Array> | null;
}

/** The part of a request the client gives. */
export interface FetchRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly signal: AbortSignal;
  /** Never followed: credentials go to the server they are for. */
  readonly redirect: "manual";
}

/** `fetch`, or what stands in for it. */
export type Fetch = (url: string, request: FetchRequest) => Promise<FetchAnswer>;

/**
 * Who calls. A bearer token may be a function, asked before each call, and again when its token has expired. With
 * user name and password the client logs in at the first call that needs it and refreshes the token by itself.
 */
export type Credentials =
  | { readonly bearer: string | (() => string | Promise<string>) }
  | { readonly apiKey: string }
  | { readonly username: string; readonly password: string };

export interface ClientOptions {
  /** Where the server is, such as `http://127.0.0.1:8080`. A path is kept before every route. */
  readonly url: string;
  readonly credentials?: Credentials | undefined;
  /** Time for a whole call, retries and waits included. Without it the contract's deadline of the operation holds. */
  readonly timeoutMs?: number | undefined;
  /** Parts that are left out keep their defaults: 3 retries, 100 ms to 10 s. */
  readonly retry?: Partial<RetryPolicy> | undefined;
  /** Headers to send with every call. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Instead of the global `fetch`. */
  readonly fetch?: Fetch | undefined;
  /** Instead of a timer between tries. */
  readonly sleep?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
  /** Instead of `Math.random`, for the jitter of waits. */
  readonly random?: (() => number) | undefined;
}

export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Time for the whole call instead of the client's; the server is told it as its deadline. */
  readonly timeoutMs?: number | undefined;
  /** Instead of the client's. */
  readonly maxRetries?: number | undefined;
  /** Instead of a random one; finds the call in the server's log. */
  readonly requestId?: string | undefined;
}

export interface SubscriptionOptions {
  /** Ends the subscription; who waits for it is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How it connects anew. `maxRetries` counts failures in a row, without limit unless said; waits grow from
   * `baseDelayMs` to `maxDelayMs`, 100 ms to 10 s unless said. When the server asks for a longer wait, it waits longer.
   */
  readonly retry?: Partial<RetryPolicy> | undefined;
  /** Milliseconds without a byte after which the connection counts as lost, 45,000 unless said. A server sends some every 15 s. */
  readonly silenceMs?: number | undefined;
  /** Instead of a random one; finds the subscription in the server's log. */
  readonly requestId?: string | undefined;
}

/** Longer than three of the comments by which a server shows that it lives. */
const DEFAULT_SILENCE_MS = 45_000;

/** Options with every default in place. */
export interface Settings {
  /** Without a slash at its end. */
  readonly url: string;
  readonly credentials: Credentials | undefined;
  readonly timeoutMs: number | undefined;
  readonly retry: RetryPolicy;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: Fetch;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly random: () => number;
}

/** Checks options and fills in defaults. Throws a `TypeError` or `RangeError` that says what to give. */
export function settingsOf(options: ClientOptions): Settings {
  checkTimeout(options.timeoutMs);
  const retry = policyOf(options.retry, DEFAULT_RETRY);
  return {
    url: baseUrl(options.url),
    credentials: options.credentials,
    timeoutMs: options.timeoutMs,
    retry,
    headers: options.headers ?? {},
    // Called without a receiver, which browsers refuse for a bare reference to it.
    fetch: options.fetch ?? ((url, request) => globalThis.fetch(url, request)),
    sleep: options.sleep ?? sleep,
    random: options.random ?? Math.random,
  };
}

/** The policy with defaults in place, checked. */
export function policyOf(given: Partial<RetryPolicy> | undefined, defaults: RetryPolicy): RetryPolicy {
  const retry: RetryPolicy = {
    maxRetries: given?.maxRetries ?? defaults.maxRetries,
    baseDelayMs: given?.baseDelayMs ?? defaults.baseDelayMs,
    maxDelayMs: given?.maxDelayMs ?? defaults.maxDelayMs,
  };
  checkRetries(retry.maxRetries);
  for (const [name, ms] of [["retry.baseDelayMs", retry.baseDelayMs], ["retry.maxDelayMs", retry.maxDelayMs]] as const) {
    if (!Number.isFinite(ms) || ms < 0) {
      throw new RangeError(`${name} is ${ms}: give milliseconds from 0`);
    }
  }
  return retry;
}

/** Milliseconds, checked. */
export function silenceOf(options: SubscriptionOptions): number {
  const ms = options.silenceMs ?? DEFAULT_SILENCE_MS;
  if (!(ms >= 1 && ms <= TIMER_MS_MAX)) {
    throw new RangeError(`silenceMs is ${ms}: give milliseconds from 1 to ${TIMER_MS_MAX}`);
  }
  return ms;
}

export function checkTimeout(ms: number | undefined): void {
  if (ms !== undefined && !(Number.isFinite(ms) && ms >= 1)) {
    throw new RangeError(`timeoutMs is ${ms}: give milliseconds from 1, or leave it out`);
  }
}

export function checkRetries(count: number | undefined): void {
  if (count !== undefined && !((Number.isSafeInteger(count) && count >= 0) || count === Infinity)) {
    throw new RangeError(`maxRetries is ${count}: give a whole number from 0, or Infinity`);
  }
}

function baseUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new TypeError(`${JSON.stringify(text)} is no URL: give one such as http://127.0.0.1:8080`, { cause });
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`${url.protocol} is not spoken here: give an http: or https: URL`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new TypeError("the URL may have no user, password, query or fragment: give credentials as `credentials`");
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}
