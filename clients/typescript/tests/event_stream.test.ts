import assert from "node:assert/strict";
import { test } from "node:test";

import { BLOCK_LENGTH_MAX, BlockTooLong, EventStreamParser, type Block } from "../src/runtime/event_stream.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function parse(...pieces: Uint8Array[]): Block[] {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

function block(more: Partial<Block>): Block {
  return { event: "message", data: undefined, id: undefined, ...more };
}

/** Streams with what the standard makes of them. */
const STREAMS: readonly (readonly [string, readonly Block[]])[] = [
  ["data: one\n\n", [block({ data: "one" })]],
  ["data: one\r\n\r\ndata: two\r\rdata: three\n\n", [block({ data: "one" }), block({ data: "two" }), block({ data: "three" })]],
  ["data: a\rdata: b\r\ndata: c\n\r\n", [block({ data: "a\nb\nc" })]],
  ["data:no space\ndata:  two spaces\n\n", [block({ data: "no space\n two spaces" })]],
  ["data\n\ndata\ndata\n\ndata:", [block({ data: "" }), block({ data: "\n" })]],
  ["data: YHOO\ndata: +2\ndata: 10\n\n", [block({ data: "YHOO\n+2\n10" })]],
  ["event: Changed\nid: c7\ndata: {}\n\ndata: next\n\n", [block({ event: "Changed", id: "c7", data: "{}" }), block({ data: "next" })]],
  ["event:\nid\ndata: x\n\n", [block({ data: "x" })]],
  ["id: a\0b\ndata: x\n\n", [block({ data: "x" })]],
  [": subscribed\nid: c1\n\n:\n\n\n\n", [block({ id: "c1" }), block({})]],
  ["retry: 10\nnothing: here\ndata: a:b: c\n\n", [block({ data: "a:b: c" })]],
  ["\ufeffdata: after the mark\n\n", [block({ data: "after the mark" })]],
  ["data: \ufeffinside\n\n", [block({ data: "\ufeffinside" })]],
  ["data: äöü €, 漢字 and 🦀\n\n", [block({ data: "äöü €, 漢字 and 🦀" })]],
  ["data: never ended\n", []],
];

test("streams are read as the standard has it", () => {
  for (const [text, blocks] of STREAMS) {
    assert.deepEqual(parse(bytes(text)), blocks, JSON.stringify(text));
  }
});

test("pieces may end anywhere", () => {
  for (const [text, blocks] of STREAMS) {
    const whole = bytes(text);
    assert.deepEqual(parse(...Array.from(whole, (byte) => Uint8Array.of(byte))), blocks, JSON.stringify(text));
    for (let at = 0; at <= whole.length; at += 1) {
      assert.deepEqual(parse(whole.subarray(0, at), whole.subarray(at)), blocks, `${JSON.stringify(text)} at ${at}`);
    }
  }
});

test("a block without an end is refused instead of kept", () => {
  const parser = new EventStreamParser();
  const piece = bytes("x".repeat(1024 * 1024));
  parser.push(bytes("data: "));
  assert.throws(() => {
    for (let length = 0; length <= BLOCK_LENGTH_MAX; length += piece.length) {
      parser.push(piece);
    }
  }, BlockTooLong);
});
