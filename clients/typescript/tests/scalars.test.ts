import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeBytes, encodeBytes, id64, timestampFromDate, timestampToDate } from "../src/index.js";

test("ids keep all 64 bits", () => {
  assert.equal(id64(18446744073709551615n), "18446744073709551615");
  assert.equal(id64("9007199254740993"), "9007199254740993");
  assert.equal(BigInt(id64(7)), 7n);
  for (const value of [-1, 1.5, 2 ** 53, NaN, "", "-1", "0x10", "1e3", " 1", 2n ** 64n]) {
    assert.throws(() => id64(value), RangeError, String(value));
  }
});

test("bytes survive the way to base64 and back", () => {
  // Longer than one slice, with every value.
  const bytes = Uint8Array.from({ length: 100_003 }, (_, at) => (at * 7) % 256);
  const text = encodeBytes(bytes);
  assert.equal(text, Buffer.from(bytes).toString("base64"));
  assert.deepEqual(decodeBytes(text), bytes);
  assert.equal(encodeBytes(new Uint8Array()), "");
});

test("moments become dates as far as dates go", () => {
  assert.equal(timestampToDate("2026-01-31T12:00:00.123456Z").getTime(), Date.UTC(2026, 0, 31, 12, 0, 0, 123));
  assert.equal(timestampFromDate(new Date(Date.UTC(2026, 0, 31, 12, 0, 0, 7))), "2026-01-31T12:00:00.007000Z");
  assert.throws(() => timestampToDate("soon"), RangeError);
});
