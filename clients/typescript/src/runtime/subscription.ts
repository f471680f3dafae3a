/**
 * Subscriptions to views: an iterator over events that outlives its connections.
 *
 * A pull goes all the way down: `next` takes a block that was parsed already, or reads from the connection, or opens
 * another one. Nothing runs while nobody waits, so nothing piles up. The cursor moves when an item is handed out and
 * at no other time, and a new connection goes on behind it: of *changes* none is lost and none comes twice.
 */

import { EventConnection, type Opening } from "./connection.js";
import { CallTimeoutError, ConnectionError, RustyDBError } from "./errors.js";
import type { SubscriptionOptions } from "./options.js";
import type { RetryPolicy } from "./retry.js";
import { CallScope, TIMER_MS_MAX } from "./scope.js";
import { timestampFromDate, type Cursor, type StreamEvent, type Timestamp } from "./scalars.js";
import type { Session } from "./session.js";

/** What is told beside events: of gaps, of falling behind, and that rows which were there are sent. */
export interface StreamControlItem<Control> {
  readonly control: Control;
  readonly event?: never;
  readonly data?: never;
  readonly timestamp: Timestamp;
  readonly cursor?: Cursor;
}

/** Any event, whatever its data. */
type AnyEvent = StreamEvent<string, unknown>;

/** First result of the pulls, before all items. */
const ACKNOWLEDGED = Symbol("acknowledged");

/** Beyond it no wait grows: 2^32 ms are longer than any timer. */
const DOUBLINGS_MAX = 32;

/** Reason of the abort by {@link Subscription.close}. */
const CLOSED = Symbol("closed");

/**
 * Events of a view, and what is told beside them. Opened by the first `next()` or by `acknowledged()`; ended by leaving
 * a `for await` loop, by `close()`, by the signal it was given, or by an error that reconnecting cannot mend. One that
 * is open and neither read nor ended keeps its connection.
 */
export class Subscription<Event, Control> implements AsyncIterableIterator<Event | StreamControlItem<Control>> {
  readonly #scope: CallScope;
  readonly #pulls: Pulls;
  readonly #items: AsyncGenerator<unknown, void, undefined>;
  #opened: Promise<IteratorResult<unknown, void>> | undefined;

  /** Made by the methods of views. */
  constructor(opening: Opening, session: Session, retry: RetryPolicy, options: SubscriptionOptions, cursor: Cursor | undefined) {
    // Without a time-out no such error is made.
    this.#scope = new CallScope(options.signal, undefined, () => new Error("a subscription has no time-out"));
    this.#pulls = new Pulls(opening, session, retry, this.#scope, cursor);
    this.#items = this.#pulls.items();
  }

  /**
   * Resolves once the server has acknowledged: nothing that happens from then on is missed. Rejects with what ended
   * the subscription before. While the server cannot be reached it waits, as long as `retry` allows.
   */
  async acknowledged(): Promise<void> {
    if ((await this.#open()).done === true) {
      throw new DOMException("the subscription was closed before it was acknowledged", "AbortError");
    }
  }

  /** What to go on behind: of the item handed out last, or newer. Undefined for telemetry and before the first one. */
  get cursor(): Cursor | undefined {
    return this.#pulls.cursor;
  }

  async next(): Promise<IteratorResult<Event | StreamControlItem<Control>, void>> {
    if ((await this.#open()).done === true) {
      return { done: true, value: undefined };
    }
    return (await this.#items.next()) as IteratorResult<Event | StreamControlItem<Control>, void>;
  }

  /** Ends the connection at once; a `next()` that waits is done. Has no effect a second time. */
  async close(): Promise<void> {
    this.#scope.end(CLOSED);
    await this.#items.return();
  }

  /** What leaving a loop calls. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #open(): Promise<IteratorResult<unknown, void>> {
    this.#opened ??= this.#items.next();
    return this.#opened;
  }
}

/** Name of the last event of a stream that ends by itself. */
const COMPLETE = "complete";

/** The connections of a subscription, one after the other, and what they left behind. */
class Pulls {
  readonly #opening: Opening;
  readonly #session: Session;
  readonly #retry: RetryPolicy;
  readonly #scope: CallScope;
  cursor: Cursor | undefined;
  /** By any connection so far. */
  #acknowledged = false;
  #handedOut = false;
  /** Failures in a row; a connection that told more than that it is open ends the row. */
  #failures = 0;
  /** The token was replaced, and no connection was acknowledged with the new one yet. */
  #renewed = false;
  /** A token was replaced in this row of failures: another time waits like any failure. */
  #hasRenewed = false;

  constructor(opening: Opening, session: Session, retry: RetryPolicy, scope: CallScope, cursor: Cursor | undefined) {
    this.#opening = opening;
    this.#session = session;
    this.#retry = retry;
    this.#scope = scope;
    this.cursor = cursor;
  }

  get #isResumable(): boolean {
    return this.#opening.view.class === "changes";
  }

  async *items(): AsyncGenerator<unknown, void, undefined> {
    try {
      for (;;) {
        this.#scope.throwIfOver();
        const connection = new EventConnection(this.#opening, this.#scope.signal);
        let token: string | undefined;
        let failure: unknown;
        try {
          const authorization = await this.#scope.race(this.#session.authorization(this.#opening.view.public));
          token = authorization.token;
          await connection.open({ ...authorization.headers, ...this.#resuming() });
          yield* this.#events(connection);
          return;
        } catch (error) {
          failure = error;
        } finally {
          connection.close();
        }
        this.#scope.throwIfOver();
        await this.#recover(failure, token);
      }
    } catch (error) {
      if (error !== CLOSED) {
        throw error;
      }
    } finally {
      this.#scope.close();
    }
  }

  #resuming(): Record<string, string> {
    return this.cursor === undefined ? {} : { "Last-Event-ID": this.cursor };
  }

  /** What a connection brings, to the end that the server tells. Any other end is an error. */
  async *#events(connection: EventConnection): AsyncGenerator<unknown, void, undefined> {
    for (let isFirst = true; ; isFirst = false) {
      const { event, data, id } = await connection.read();
      if (event === COMPLETE) {
        return;
      }
      if (event === "error" && data !== undefined) {
        throw connection.failure(data);
      }
      const item = data === undefined ? undefined : parseItem(connection, data);
      const isHandedOut = item !== undefined && !isBookmark(item);
      if (!isHandedOut) {
        this.#moveTo(id);
      }
      if (isFirst) {
        this.#renewed = false;
        yield* this.#opened();
      } else {
        this.#failures = 0;
        this.#hasRenewed = false;
      }
      if (isHandedOut) {
        this.#moveTo(id);
        this.#handedOut = true;
        yield item;
      }
    }
  }

  #moveTo(id: string | undefined): void {
    if (this.#isResumable && id !== undefined) {
      this.cursor = id;
    }
  }

  /** What a connection that was acknowledged tells first. */
  *#opened(): Generator<unknown, void, undefined> {
    if (!this.#acknowledged) {
      this.#acknowledged = true;
      yield ACKNOWLEDGED;
    } else if (!this.#isResumable) {
      // Nobody knows how much came between the connections.
      yield { control: { kind: "GAP" }, timestamp: timestampFromDate(new Date()) };
    }
  }

  /** Returns when another connection may be tried; throws what is final. */
  async #recover(failure: unknown, token: string | undefined): Promise<void> {
    if (this.#opening.view.class === "results") {
      // What was begun has an effect, perhaps, and must not be begun again.
      throw failure;
    }
    if (this.#isResumable && this.#handedOut && this.cursor === undefined) {
      // Another connection would begin with rows that were handed out already.
      throw failure;
    }
    let cause = failure;
    let isMended = false;
    if (token !== undefined && cause instanceof RustyDBError && cause.code === "TOKEN_EXPIRED" && !this.#renewed) {
      try {
        isMended = await this.#scope.race(this.#session.renew(token));
      } catch (error) {
        this.#scope.throwIfOver();
        cause = error;
      }
      this.#renewed = isMended;
      if (isMended && !this.#hasRenewed) {
        this.#hasRenewed = true;
        return;
      }
    }
    if (!(cause instanceof RustyDBError) || !(isMended || isPassing(cause)) || this.#failures >= this.#retry.maxRetries) {
      throw cause;
    }
    const delayMs = this.#delayMs(cause);
    this.#failures += 1;
    const { sleep } = this.#opening.settings;
    await this.#scope.race(sleep(delayMs, this.#scope.signal));
  }

  /** What the server asked for, however long, else exponential back-off with full jitter. */
  #delayMs(failure: RustyDBError): number {
    const { baseDelayMs, maxDelayMs } = this.#retry;
    const backOffMs = this.#opening.settings.random() * Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(this.#failures, DOUBLINGS_MAX));
    const askedMs = failure.retryAfterSeconds === undefined ? backOffMs : failure.retryAfterSeconds * 1000;
    return Math.min(askedMs, TIMER_MS_MAX);
  }
}

/** Whether another try may do better: nobody answered, the server failed, or it has too much to do. */
function isPassing(error: RustyDBError): boolean {
  const { status } = error;
  return error instanceof ConnectionError || error instanceof CallTimeoutError || (status !== undefined && (status >= 500 || status === 429));
}

function parseItem(connection: EventConnection, data: string): AnyEvent | StreamControlItem<{ kind: string }> {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw connection.malformed("the server sent an event that is not JSON", data, cause);
  }
  const { event, control } = (value ?? {}) as Record<string, unknown>;
  if (typeof event !== "string" && (typeof control !== "object" || control === null)) {
    throw connection.malformed("the server sent neither an event nor a control", data);
  }
  return value as AnyEvent | StreamControlItem<{ kind: string }>;
}

function isBookmark(item: AnyEvent | StreamControlItem<{ kind: string }>): boolean {
  return item.event === undefined && item.control.kind === "BOOKMARK";
}
