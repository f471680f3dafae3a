/** Typed client of RustyDB: `new RustyDB({ url })`, then `db.<module>.<operation>(input)`. */

export * from "./generated/index.js";
export { CallTimeoutError, ConnectionError, InputError, ResponseError, RustyDBError } from "./runtime/errors.js";
export type { ErrorFields, Retry } from "./runtime/errors.js";
export type { CallOptions, ClientOptions, Credentials, Fetch, FetchAnswer, FetchRequest, SubscriptionOptions } from "./runtime/options.js";
export type { RetryPolicy } from "./runtime/retry.js";
export { decodeBytes, encodeBytes, id64, timestampFromDate, timestampToDate } from "./runtime/scalars.js";
export type { Bytes, CalendarDate, Cursor, Decimal, ExactlyOneOf, Id64, JsonValue, Lsn, Open, StreamEvent, Timestamp, Uuid } from "./runtime/scalars.js";
export type { StreamControlItem, Subscription } from "./runtime/subscription.js";
