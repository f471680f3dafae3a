/**
 * Parses `text/event-stream` as the HTML standard has it (section 9.2.6), out of bytes in pieces that may end
 * anywhere. Two differences: comments that stand alone are told too, since a server acknowledges with one, and
 * `retry` is ignored, since the subscription decides how long it waits.
 */

/** What stands before a blank line. */
export interface Block {
  /** `message` where the block names none. */
  readonly event: string;
  /** Undefined in a block without data, which is no event. */
  readonly data: string | undefined;
  /** Undefined in a block without an id; never empty. */
  readonly id: string | undefined;
}

/** Longest block in UTF-16 code units. Far above what a server sends; bounds what a broken one makes us hold. */
export const BLOCK_LENGTH_MAX = 64 * 1024 * 1024;

/** A block was longer than {@link BLOCK_LENGTH_MAX}. */
export class BlockTooLong extends Error {}

export class EventStreamParser {
  /** Drops a byte order mark at the beginning, and keeps what a piece holds of a character. */
  readonly #decoder = new TextDecoder();
  /** Pieces of the line that has not ended yet. */
  #line: string[] = [];
  /** The last piece ended in a carriage return: a line feed that follows belongs to it. */
  #afterReturn = false;
  /** Length of the block so far. */
  #length = 0;
  #isEmpty = true;
  #event = "";
  #data: string[] = [];
  #id: string | undefined;

  /** Blocks that end within these bytes. What is not ended by a blank line when the stream ends is no block. */
  push(bytes: Uint8Array): Block[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    const blocks: Block[] = [];
    let start = 0;
    if (this.#afterReturn && text !== "") {
      this.#afterReturn = false;
      start = text.startsWith("\n") ? 1 : 0;
    }
    const ends = /\r\n|\n|\r/g;
    ends.lastIndex = start;
    for (let end = ends.exec(text); end !== null; end = ends.exec(text)) {
      this.#line.push(text.slice(start, end.index));
      this.#count(end.index - start);
      start = ends.lastIndex;
      this.#afterReturn = end[0] === "\r" && start === text.length;
      const line = this.#line.join("");
      this.#line = [];
      if (line !== "") {
        this.#field(line);
      } else if (!this.#isEmpty) {
        blocks.push(this.#end());
      }
    }
    if (start < text.length) {
      this.#line.push(text.slice(start));
      this.#count(text.length - start);
    }
    return blocks;
  }

  #count(length: number): void {
    this.#length += length;
    if (this.#length > BLOCK_LENGTH_MAX) {
      throw new BlockTooLong(`an event is longer than ${BLOCK_LENGTH_MAX} characters`);
    }
  }

  #field(line: string): void {
    this.#isEmpty = false;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const text = colon < 0 ? "" : line.slice(colon + 1);
    const value = text.startsWith(" ") ? text.slice(1) : text;
    if (name === "event") {
      this.#event = value;
    } else if (name === "data") {
      this.#data.push(value);
    } else if (name === "id" && value !== "" && !value.includes("\0")) {
      this.#id = value;
    }
  }

  #end(): Block {
    const block: Block = {
      event: this.#event === "" ? "message" : this.#event,
      data: this.#data.length === 0 ? undefined : this.#data.join("\n"),
      id: this.#id,
    };
    this.#length = 0;
    this.#isEmpty = true;
    this.#event = "";
    this.#data = [];
    this.#id = undefined;
    return block;
  }
}
