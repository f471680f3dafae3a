/** When a failed call is sent again, and how long it waits before. */

import { ConnectionError, isContractError, type RustyDBError } from "./errors.js";
import type { Operation } from "./operation.js";

export interface RetryPolicy {
  /** Tries after the first one. `Infinity` for as many as it takes. */
  readonly maxRetries: number;
  /** Longest wait before the first retry; it doubles with each further one. */
  readonly baseDelayMs: number;
  /** Longest wait that back-off grows to, and the longest a server may ask for before the error is answered instead. */
  readonly maxDelayMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { maxRetries: 3, baseDelayMs: 100, maxDelayMs: 10_000 };

/** Of subscriptions, which go on until they are ended. */
export const RECONNECT: RetryPolicy = { ...DEFAULT_RETRY, maxRetries: Infinity };

/** Statuses by which proxies tell that the server's answer was lost. */
const LOST_ANSWER = new Set([502, 503, 504]);

/**
 * Whether the call may be sent again. An error whose `retry` is `safe` changed nothing. A lost answer may have, so
 * only operations that may be repeated are. A transaction is never retried by one of its calls.
 */
export function mayRetry(operation: Operation, error: RustyDBError): boolean {
  if (isContractError(error)) {
    return error.retry === "safe";
  }
  const lost = error instanceof ConnectionError || (error.status !== undefined && LOST_ANSWER.has(error.status));
  return lost && operation.retrySafe;
}

/**
 * Milliseconds before retry number `retry` (from 0): what the server asked for, else exponential back-off with
 * full jitter. Undefined when the server asks for more than the policy waits.
 */
export function retryDelayMs(policy: RetryPolicy, retry: number, error: RustyDBError, random: () => number): number | undefined {
  if (error.retryAfterSeconds !== undefined) {
    const asked = error.retryAfterSeconds * 1000;
    return asked <= policy.maxDelayMs ? asked : undefined;
  }
  return random() * Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** retry);
}
