/**
 * Scalars of the contract as they travel, and conversions to what JavaScript has.
 *
 * The client never converts answers by itself: what a server sent is what a caller gets, so nothing is lost on
 * the way (a `Date` has no microseconds, a number no more than 53 bits).
 */

/** An unsigned 64-bit integer as decimal text; {@link id64} makes one of a number, `BigInt(value)` reads it. */
export type Id64 = `${bigint}`;

/** Bytes in base64 (RFC 4648 with padding); see {@link encodeBytes} and {@link decodeBytes}. */
export type Bytes = string;

/** A decimal number of any precision as text, such as `"12.50"`. */
export type Decimal = string;

/** A moment in UTC with microseconds, such as `"2026-01-31T12:00:00.000000Z"`. */
export type Timestamp = string;

/** A day, `YYYY-MM-DD`. */
export type CalendarDate = string;

/** A UUID in lower case with hyphens. */
export type Uuid = string;

/** A position in the write-ahead log, `hi/lo` in hex. */
export type Lsn = string;

/** Opaque text that a paged answer or an event gave. */
export type Cursor = string;

/** Any JSON value. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

/** An enumeration in an answer: the values this client knows, or text that a newer server sent. */
export type Open<Known extends string> = Known | (string & Record<never, never>);

/** `Fields` with exactly one of the optional fields `Keys`. */
export type ExactlyOneOf<Fields, Keys extends keyof Fields> = Omit<Fields, Keys> &
  { [Key in Keys]: Required<Pick<Fields, Key>> & { [Other in Exclude<Keys, Key>]?: never } }[Keys];

/** One event of a subscription. */
export interface StreamEvent<Name extends string, Data> {
  /** Tells events of a view apart. */
  readonly event: Name;
  /** With the input `fields`, only those of its fields. */
  readonly data: Data;
  readonly control?: never;
  readonly timestamp: Timestamp;
  /** Of changes: gives a subscription that goes on behind this event. */
  readonly cursor?: Cursor;
}

const ID64_MAX = 2n ** 64n - 1n;

/** Checks and converts a 64-bit id. Throws a `RangeError` outside of 0 to 2^64-1. */
export function id64(value: bigint | number | string): Id64 {
  let number: bigint;
  try {
    number = typeof value === "string" && !/^[0-9]+$/.test(value) ? -1n : BigInt(value);
  } catch {
    number = -1n;
  }
  if (number < 0n || number > ID64_MAX || (typeof value === "number" && !Number.isSafeInteger(value))) {
    throw new RangeError(`${String(value)} is no 64-bit id: give an integer from 0 to ${ID64_MAX}, as bigint or text beyond 2^53-1`);
  }
  return `${number}`;
}

/** Bytes to base64. */
export function encodeBytes(bytes: Uint8Array): Bytes {
  // In slices: an argument list has a bounded length.
  const slice = 0x8000;
  let binary = "";
  for (let start = 0; start < bytes.length; start += slice) {
    binary += String.fromCharCode(...bytes.subarray(start, start + slice));
  }
  return btoa(binary);
}

/** Base64 to bytes. */
export function decodeBytes(text: Bytes): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The moment as a `Date`, which keeps milliseconds only. */
export function timestampToDate(timestamp: Timestamp): Date {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) {
    throw new RangeError(`${JSON.stringify(timestamp)} is no RFC 3339 timestamp`);
  }
  return date;
}

/** A `Date` in the form the contract writes moments in. */
export function timestampFromDate(date: Date): Timestamp {
  return date.toISOString().replace(/(\.\d{3})Z$/, "$1000Z");
}
