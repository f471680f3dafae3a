/** What the runtime must know of an operation or a view; the generator writes one of each. */

/**
 * How a query parameter is written: `text` as it is, `list` as one parameter per item, `json` as one parameter
 * that holds JSON text.
 */
export type QueryForm = "text" | "list" | "json";

export interface Operation {
  /** `module.operation`. */
  readonly id: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With `{parameters}`, which are input fields of those names. */
  readonly path: string;
  /** Input fields the query carries. */
  readonly query: readonly (readonly [name: string, form: QueryForm])[];
  /** Input fields the body carries; without any, no body is sent. */
  readonly body: readonly string[];
  /** May be sent again when an answer was lost. */
  readonly retrySafe: boolean;
  /** Needs no credentials. */
  readonly public: boolean;
  /** Deadline the contract gives the call on the server, in milliseconds. */
  readonly timeoutMs: number;
}

/** How a view is opened, and what holds for its events. */
export interface View extends Operation {
  /** `changes` are told without loss and go on behind a cursor; `telemetry` is told while somebody listens. */
  readonly class: "changes" | "telemetry" | "results";
}
