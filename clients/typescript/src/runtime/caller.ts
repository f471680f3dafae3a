/**
 * Makes calls: one request per try, with authorization, deadline, request id and retries. Everything a generated
 * method does goes through {@link Caller.call} or {@link Caller.subscribe}.
 */

import { CallTimeoutError, InputError, ResponseError, RustyDBError, connectionError, errorOf, type ErrorTable } from "./errors.js";
import {
  checkRetries,
  checkTimeout,
  policyOf,
  settingsOf,
  silenceOf,
  type CallOptions,
  type ClientOptions,
  type FetchAnswer,
  type Settings,
  type SubscriptionOptions,
} from "./options.js";
import type { Operation, View } from "./operation.js";
import { UnsendableInput, encodeRequest, type EncodedRequest } from "./request.js";
import { RECONNECT, mayRetry, retryDelayMs } from "./retry.js";
import { CallScope } from "./scope.js";
import { Session, tokensOf, type Authorization, type Tokens } from "./session.js";
import { Subscription } from "./subscription.js";

/** Operations that turn user name and password into tokens; undefined where the contract has none. */
export interface AuthOperations {
  readonly login: Operation;
  readonly refresh: Operation;
}

/** Beyond the contract's deadline of an operation, before an answer that never comes is given up. */
const GRACE_MS = 10_000;

/** What stays the same over the tries of a call. */
interface Call {
  readonly operation: Operation;
  readonly request: EncodedRequest;
  readonly requestId: string;
  readonly scope: CallScope;
}

export class Caller {
  readonly #settings: Settings;
  readonly #errors: ErrorTable;
  readonly #session: Session;

  constructor(options: ClientOptions, errors: ErrorTable, auth: AuthOperations | undefined) {
    this.#settings = settingsOf(options);
    this.#errors = errors;
    const needsLogin = options.credentials !== undefined && "username" in options.credentials;
    if (needsLogin && auth === undefined) {
      throw new TypeError("this contract has no auth.login: give a bearer token or an API key");
    }
    this.#session = new Session(options.credentials, {
      login: (username, password) => this.#tokens(auth?.login, { username, password }),
      refresh: (refresh_token) => this.#tokens(auth?.refresh, { refresh_token }),
      isRefused: (error) => error instanceof RustyDBError && error.status !== undefined && error.status >= 400 && error.status < 500 && error.retry !== "safe",
    });
  }

  /** Calls the operation; the answer is of the type the contract declares for it. */
  async call<T>(operation: Operation, input: object, options: CallOptions = {}): Promise<T> {
    return (await this.#call(operation, input, options, this.#session)) as T;
  }

  /** Subscribes to the view; nothing is sent before the subscription is used. Throws an `InputError` at once. */
  subscribe<Event, Control>(view: View, input: object, options: SubscriptionOptions = {}): Subscription<Event, Control> {
    const requestId = options.requestId ?? newRequestId();
    const opening = {
      settings: this.#settings,
      errors: this.#errors,
      view,
      request: encode(view, input, requestId),
      requestId,
      silenceMs: silenceOf(options),
    };
    const { cursor } = input as { cursor?: string };
    return new Subscription(opening, this.#session, policyOf(options.retry, RECONNECT), options, cursor);
  }

  /** `session` is undefined for the calls that the session itself makes. */
  async #call(operation: Operation, input: object, options: CallOptions, session: Session | undefined): Promise<unknown> {
    checkTimeout(options.timeoutMs);
    checkRetries(options.maxRetries);
    const requestId = options.requestId ?? newRequestId();
    const request = encode(operation, input, requestId);
    const timeoutMs = options.timeoutMs ?? this.#settings.timeoutMs;
    const scope = new CallScope(options.signal, timeoutMs, () => timeoutError(operation, requestId));
    const call: Call = { operation, request, requestId, scope };
    try {
      return await this.#tries(call, options.maxRetries ?? this.#settings.retry.maxRetries, session);
    } finally {
      scope.close();
    }
  }

  async #tries(call: Call, maxRetries: number, session: Session | undefined): Promise<unknown> {
    const { operation, scope } = call;
    let renewed = false;
    let retries = 0;
    for (;;) {
      scope.throwIfOver();
      scope.guard(operation.timeoutMs + GRACE_MS);
      const authorization = session === undefined ? undefined : await scope.race(session.authorization(operation.public));
      let failure: RustyDBError;
      try {
        return await this.#attempt(call, authorization);
      } catch (error) {
        if (!(error instanceof RustyDBError) || scope.signal.aborted) {
          throw error;
        }
        failure = error;
      }
      const token = authorization?.token;
      if (session !== undefined && token !== undefined && !renewed && failure.status === 401 && failure.code === "TOKEN_EXPIRED") {
        renewed = true;
        if (await scope.race(session.renew(token))) {
          continue;
        }
      }
      const delayMs = this.#delayBeforeRetry(call, failure, retries, maxRetries);
      if (delayMs === undefined) {
        throw failure;
      }
      retries += 1;
      scope.guard(delayMs + GRACE_MS);
      await this.#settings.sleep(delayMs, scope.signal);
    }
  }

  /** Undefined when the failure is final, also because a retry would come too late. */
  #delayBeforeRetry(call: Call, failure: RustyDBError, retries: number, maxRetries: number): number | undefined {
    if (retries >= maxRetries || !mayRetry(call.operation, failure)) {
      return undefined;
    }
    const delayMs = retryDelayMs(this.#settings.retry, retries, failure, this.#settings.random);
    const remainingMs = call.scope.remainingMs;
    return delayMs !== undefined && remainingMs !== undefined && delayMs >= remainingMs ? undefined : delayMs;
  }

  async #attempt(call: Call, authorization: Authorization | undefined): Promise<unknown> {
    const { operation, request, requestId, scope } = call;
    let answer: FetchAnswer;
    let text: string;
    try {
      answer = await this.#settings.fetch(this.#settings.url + request.target, {
        method: operation.method,
        headers: this.#headers(call, authorization),
        ...(request.body === undefined ? {} : { body: request.body }),
        signal: scope.signal,
        redirect: "manual",
      });
      text = await answer.text();
    } catch (cause) {
      scope.throwIfOver();
      throw connectionError(`no answer to ${operation.id} from ${this.#settings.url}`, operation.id, requestId, cause);
    }
    if (answer.status >= 200 && answer.status < 300) {
      return parseAnswer(operation, answer, text, requestId);
    }
    const failed = {
      status: answer.status,
      text,
      requestIdHeader: answer.headers.get("X-Request-Id"),
      retryAfterHeader: answer.headers.get("Retry-After"),
    };
    throw errorOf(failed, operation.id, requestId, this.#errors);
  }

  #headers(call: Call, authorization: Authorization | undefined): Record<string, string> {
    const headers: Record<string, string> = {
      ...this.#settings.headers,
      Accept: "application/json, application/problem+json",
      "X-Request-Id": call.requestId,
      ...authorization?.headers,
    };
    const remainingMs = call.scope.remainingMs;
    if (remainingMs !== undefined) {
      headers["X-Timeout-Ms"] = String(remainingMs);
    }
    if (call.request.body !== undefined) {
      headers["Content-Type"] = "application/json";
    }
    return headers;
  }

  async #tokens(operation: Operation | undefined, input: object): Promise<Tokens> {
    if (operation === undefined) {
      throw new TypeError("this contract has no operation that gives tokens");
    }
    const requestId = newRequestId();
    const tokens = tokensOf(await this.#call(operation, input, { requestId }, undefined));
    if (tokens === undefined) {
      throw new ResponseError({
        code: "INVALID_RESPONSE",
        message: `the answer of ${operation.id} has no access_token and refresh_token`,
        operation: operation.id,
        requestId,
      });
    }
    return tokens;
  }
}

function encode(operation: Operation, input: object, requestId: string): EncodedRequest {
  try {
    return encodeRequest(operation, input);
  } catch (cause) {
    if (cause instanceof UnsendableInput || cause instanceof TypeError) {
      const message = `${operation.id} was not sent: ${cause.message}`;
      throw new InputError({ code: "INPUT_NOT_SENDABLE", message, operation: operation.id, requestId, cause });
    }
    throw cause;
  }
}

function parseAnswer(operation: Operation, answer: FetchAnswer, text: string, requestId: string): unknown {
  if (answer.status === 204 && text === "") {
    return {};
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ResponseError({
      code: "INVALID_RESPONSE",
      message: `the server answered ${operation.id} with status ${answer.status}, but not with JSON`,
      operation: operation.id,
      requestId: answer.headers.get("X-Request-Id") ?? requestId,
      status: answer.status,
      body: text,
      cause,
    });
  }
}

function timeoutError(operation: Operation, requestId: string): CallTimeoutError {
  const message = `${operation.id} was not answered in time`;
  return new CallTimeoutError({ code: "CALL_TIMEOUT", message, operation: operation.id, requestId });
}

/** `crypto.randomUUID` is missing in browsers on plain http. */
function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
