/** What generated code uses of the runtime. The package's public part of it is listed in ../index.ts. */

export { Caller, type AuthOperations } from "./caller.js";
export { RustyDBError, type ErrorEntry, type ErrorTable } from "./errors.js";
export type { Operation, View } from "./operation.js";
export type { CallOptions, ClientOptions, SubscriptionOptions } from "./options.js";
export { items } from "./paging.js";
export type { Subscription } from "./subscription.js";
