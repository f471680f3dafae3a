/** One connection of a subscription: a request, and the blocks of its answer as they are asked for. */

import { ConnectionError, ResponseError, connectionError, errorOf, type ErrorTable } from "./errors.js";
import { BlockTooLong, EventStreamParser, type Block } from "./event_stream.js";
import type { View } from "./operation.js";
import type { FetchAnswer, Settings } from "./options.js";
import type { EncodedRequest } from "./request.js";
import { CallScope } from "./scope.js";

/** What every connection of a subscription shares. */
export interface Opening {
  readonly settings: Settings;
  readonly errors: ErrorTable;
  readonly view: View;
  readonly request: EncodedRequest;
  readonly requestId: string;
  /** Milliseconds without a byte after which the connection counts as lost. */
  readonly silenceMs: number;
}

/**
 * Bytes are only taken from the network when a block is asked for and none is left, so a reader that is slow slows
 * the server down instead of filling memory.
 */
export class EventConnection {
  readonly #opening: Opening;
  readonly #scope: CallScope;
  readonly #parser = new EventStreamParser();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #requestId: string;
  /** Parsed and not yet asked for; what one piece of the answer held at most. */
  #blocks: Block[] = [];

  /** `signal` ends the connection, whatever it does then. */
  constructor(opening: Opening, signal: AbortSignal) {
    const { requestId, silenceMs } = opening;
    this.#opening = opening;
    this.#requestId = requestId;
    this.#scope = new CallScope(signal, undefined, () => this.#lost(`nothing came for ${silenceMs} ms`));
  }

  /** Sends the request. Done once the server answered with a stream of events. */
  async open(headers: Readonly<Record<string, string>>): Promise<void> {
    const { settings, view, request, requestId } = this.#opening;
    const answer = await this.#await(() =>
      settings.fetch(settings.url + request.target, {
        method: view.method,
        headers: {
          ...settings.headers,
          Accept: "text/event-stream, application/problem+json",
          "X-Request-Id": requestId,
          ...(request.body === undefined ? {} : { "Content-Type": "application/json" }),
          ...headers,
        },
        ...(request.body === undefined ? {} : { body: request.body }),
        signal: this.#scope.signal,
        redirect: "manual",
      }),
    );
    this.#requestId = answer.headers.get("X-Request-Id") ?? requestId;
    if (answer.status < 200 || answer.status >= 300) {
      const failed = {
        status: answer.status,
        text: await this.#await(() => answer.text()),
        requestIdHeader: answer.headers.get("X-Request-Id"),
        retryAfterHeader: answer.headers.get("Retry-After"),
      };
      throw errorOf(failed, view.id, requestId, this.#opening.errors);
    }
    this.#reader = this.#body(answer).getReader();
  }

  /** The next block; a connection that ends is lost. */
  async read(): Promise<Block> {
    for (;;) {
      this.#scope.throwIfOver();
      const block = this.#blocks.shift();
      if (block !== undefined) {
        return block;
      }
      const reader = this.#reader;
      const piece = reader === undefined ? undefined : await this.#await(() => reader.read());
      if (piece === undefined || piece.done) {
        throw this.#lost("the server ended the stream");
      }
      try {
        this.#blocks = this.#parser.push(piece.value);
      } catch (cause) {
        throw cause instanceof BlockTooLong ? this.malformed(cause.message, undefined, cause) : cause;
      }
    }
  }

  /** The error for what is not in the contract's form. */
  malformed(what: string, body?: string, cause?: unknown): ResponseError {
    return new ResponseError({
      code: "INVALID_RESPONSE",
      message: `${this.#opening.view.id}: ${what}`,
      operation: this.#opening.view.id,
      requestId: this.#requestId,
      status: 200,
      body,
      cause,
    });
  }

  /** The error that the server ended the stream with: the data of an `error` event. */
  failure(data: string): Error {
    const { view, errors } = this.#opening;
    let member: unknown;
    try {
      member = JSON.parse(data);
    } catch (cause) {
      return this.malformed("the server sent an error that is not JSON", data, cause);
    }
    const { code, status, request_id } = (member ?? {}) as Record<string, unknown>;
    if (typeof code !== "string" || typeof status !== "number") {
      return this.malformed("the server sent an error without code or status", data);
    }
    // The form of an error answer, whose status the data holds here.
    const text = JSON.stringify({ request_id, error: member });
    return errorOf({ status, text, requestIdHeader: null, retryAfterHeader: null }, view.id, this.#requestId, errors);
  }

  /** Ends the connection at once. */
  close(): void {
    this.#blocks = [];
    this.#scope.end(new DOMException("the connection was closed", "AbortError"));
  }

  #lost(cause: unknown): ConnectionError {
    const { view, settings } = this.#opening;
    return connectionError(`lost ${view.id} from ${settings.url}`, view.id, this.#requestId, cause);
  }

  #body(answer: FetchAnswer): ReadableStream<Uint8Array> {
    const type = answer.headers.get("Content-Type") ?? "";
    if (answer.status !== 200 || !/^text\/event-stream\s*(;|$)/i.test(type)) {
      throw this.malformed(`the server answered with status ${answer.status} and ${JSON.stringify(type)}, not with events`);
    }
    if (answer.body === undefined || answer.body === null) {
      throw new TypeError("the given `fetch` has no `body` in its answers: subscriptions need it as a ReadableStream");
    }
    return answer.body;
  }

  /** The result, or why the connection ended before it: the caller's reason, silence, or that it broke. */
  async #await<T>(work: () => Promise<T>): Promise<T> {
    this.#scope.throwIfOver();
    this.#scope.guard(this.#opening.silenceMs);
    try {
      return await this.#scope.race(work());
    } catch (cause) {
      this.#scope.throwIfOver();
      throw this.#lost(cause);
    } finally {
      this.#scope.unguard();
    }
  }
}
