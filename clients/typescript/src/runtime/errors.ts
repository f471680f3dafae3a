/**
 * Errors a call can end with. Every one is a {@link RustyDBError}, save the caller's own abort: that rejects with
 * the signal's reason, as `fetch` does.
 */

/** Whether the same call may be sent again: not, at once or after `retryAfterSeconds`, or its whole transaction. */
export type Retry = "never" | "safe" | "transaction";

export interface ErrorFields {
  readonly code: string;
  readonly message: string;
  readonly operation: string;
  readonly requestId: string;
  readonly status?: number | undefined;
  readonly retry?: Retry | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly details?: unknown;
  readonly body?: string | undefined;
  readonly cause?: unknown;
}

/**
 * A call failed. The contract's errors have a subclass each; one that this client does not know yet, and an
 * answer that is no error of the contract (`code` is then `HTTP_<status>`), are of this class itself.
 */
export class RustyDBError extends Error {
  /** UPPER_SNAKE, the same on every interface. */
  readonly code: string;
  /** HTTP status; undefined when no answer came. */
  readonly status: number | undefined;
  /** Id of the operation that was called. */
  readonly operation: string;
  /** Finds the call in the server's log. */
  readonly requestId: string;
  /** Undefined for codes this client does not know. */
  readonly retry: Retry | undefined;
  /** The server asks to wait this long before the next try. */
  readonly retryAfterSeconds: number | undefined;
  /** More about this failure, of a type that depends on `code`. */
  readonly details: unknown;
  /** The answer as it came, when it was no error of the contract. */
  readonly body: string | undefined;

  constructor(fields: ErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = new.target.name;
    this.code = fields.code;
    this.status = fields.status;
    this.operation = fields.operation;
    this.requestId = fields.requestId;
    this.retry = fields.retry;
    this.retryAfterSeconds = fields.retryAfterSeconds;
    this.details = fields.details;
    this.body = fields.body;
  }
}

/** No answer came: the server could not be reached, or the connection broke. `cause` tells why. */
export class ConnectionError extends RustyDBError {
  declare readonly code: "CONNECTION_FAILED";
}

/** The call's time was over before an answer came. The server may still have done it. */
export class CallTimeoutError extends RustyDBError {
  declare readonly code: "CALL_TIMEOUT";
}

/** Nothing was sent: the input cannot be written as a request. */
export class InputError extends RustyDBError {
  declare readonly code: "INPUT_NOT_SENDABLE";
}

/** The server answered with success, but not in the contract's form. */
export class ResponseError extends RustyDBError {
  declare readonly code: "INVALID_RESPONSE";
}

/** `what` failed because of `cause`: an error, or a text that says why. */
export function connectionError(what: string, operation: string, requestId: string, cause: unknown): ConnectionError {
  return new ConnectionError({ code: "CONNECTION_FAILED", message: `${what}: ${reasonOf(cause)}`, operation, requestId, cause });
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) {
    return String(cause);
  }
  return cause.cause instanceof Error && cause.cause.message !== "" ? cause.cause.message : cause.message;
}

/** What the generated table knows of an error code. */
export interface ErrorEntry {
  readonly type: new (fields: ErrorFields) => RustyDBError;
  readonly retry: Retry;
}

/** Errors of the contract by code. */
export type ErrorTable = ReadonlyMap<string, ErrorEntry>;

/** An answer that is not a success. */
export interface FailedAnswer {
  readonly status: number;
  readonly text: string;
  readonly requestIdHeader: string | null;
  readonly retryAfterHeader: string | null;
}

/** Reads the error out of an answer; whatever the answer holds, an error comes of it. */
export function errorOf(answer: FailedAnswer, operation: string, sentRequestId: string, table: ErrorTable): RustyDBError {
  const problem = parseObject(answer.text);
  const error = objectOf(problem?.["error"]);
  const requestId = textOf(problem?.["request_id"]) ?? answer.requestIdHeader ?? sentRequestId;
  const headerSeconds = secondsOf(answer.retryAfterHeader);
  const code = textOf(error?.["code"]);
  if (error === undefined || code === undefined) {
    return new RustyDBError({
      code: `HTTP_${answer.status}`,
      message: `the server answered ${operation} with status ${answer.status} and no error of the contract`,
      operation,
      requestId,
      status: answer.status,
      retryAfterSeconds: headerSeconds,
      body: answer.text,
    });
  }
  const entry = table.get(code);
  const bodySeconds = error["retry_after"];
  const fields: ErrorFields = {
    code,
    message: textOf(error["message"]) ?? textOf(problem?.["detail"]) ?? code,
    operation,
    requestId,
    status: answer.status,
    retry: entry?.retry,
    retryAfterSeconds: typeof bodySeconds === "number" && bodySeconds >= 0 ? bodySeconds : headerSeconds,
    details: error["details"],
  };
  return entry === undefined ? new RustyDBError(fields) : new entry.type(fields);
}

/** Whether the answer was an error of the contract, known to this client or not. */
export function isContractError(error: RustyDBError): boolean {
  return error.status !== undefined && error.body === undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function secondsOf(header: string | null): number | undefined {
  return header !== null && /^[0-9]+$/.test(header.trim()) ? Number(header) : undefined;
}
