/** Writes an input as path, query and body. Refuses what JSON or a URL cannot carry, never changing it silently. */

import type { Operation } from "./operation.js";

/** A request without what all calls share. */
export interface EncodedRequest {
  /** Path with query, beginning with `/`. */
  readonly target: string;
  /** JSON text; undefined sends no body. */
  readonly body: string | undefined;
}

/** Why an input cannot be sent. */
export class UnsendableInput extends Error {}

/**
 * Encodes the input of an operation. Fields the operation does not know travel too, in the body where there is
 * one, so that the server refuses them by name. `undefined` is the same as absent; null stays null.
 */
export function encodeRequest(operation: Operation, input: object): EncodedRequest {
  const fields = new Map<string, unknown>(Object.entries(input).filter(([, value]) => value !== undefined));
  const path = operation.path.replace(/\{([^}]+)\}/g, (_, name: string) => {
    const segment = encodeSegment(name, fields.get(name));
    fields.delete(name);
    return segment;
  });
  const query: string[] = [];
  for (const [name, form] of operation.query) {
    if (fields.has(name)) {
      const value = fields.get(name);
      const texts = form === "json" ? [encodeJson(value)] : form === "list" ? listTexts(name, value) : [scalarText(name, value)];
      query.push(...texts.map((text) => `${encodeText(name, name)}=${encodeText(name, text)}`));
      fields.delete(name);
    }
  }
  let body: string | undefined;
  if (operation.body.length > 0) {
    body = encodeJson(Object.fromEntries(fields));
  } else {
    for (const [name, value] of fields) {
      const text = isScalar(value) ? scalarText(name, value) : encodeJson(value);
      query.push(`${encodeText(name, name)}=${encodeText(name, text)}`);
    }
  }
  return { target: query.length === 0 ? path : `${path}?${query.join("&")}`, body };
}

/** JSON text of a value; numbers that JSON has no form for are refused instead of becoming null. */
export function encodeJson(value: unknown): string {
  const text: string | undefined = JSON.stringify(value, (key: string, part: unknown) => {
    if (typeof part === "bigint") {
      throw new UnsendableInput(`\`${key}\` is the bigint ${part}: give 64-bit ids as id64(${part}n), other integers as numbers`);
    }
    if (typeof part === "number" && !Number.isFinite(part)) {
      throw new UnsendableInput(`\`${key}\` is ${part}, which JSON cannot carry: give it as text where the contract allows`);
    }
    return part;
  });
  if (text === undefined) {
    throw new UnsendableInput(`a ${typeof value} has no JSON form`);
  }
  return text;
}

function encodeSegment(name: string, value: unknown): string {
  const text = scalarText(name, value);
  // URL parsers drop these segments even when percent-encoded, and the call would hit another path.
  if (text === "" || text === "." || text === "..") {
    throw new UnsendableInput(`\`${name}\` is ${JSON.stringify(text)}, which cannot stand in a path`);
  }
  return encodeText(name, text);
}

function listTexts(name: string, value: unknown): string[] {
  if (!Array.isArray(value)) {
    throw new UnsendableInput(`\`${name}\` must be an array`);
  }
  return value.map((item: unknown) => scalarText(name, item));
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "boolean" || typeof value === "number";
}

function scalarText(name: string, value: unknown): string {
  if (!isScalar(value) || (typeof value === "number" && !Number.isFinite(value))) {
    const found = value === undefined ? "missing" : value === null ? "null" : typeof value === "number" ? String(value) : `a value of type ${typeof value}`;
    throw new UnsendableInput(`\`${name}\` is ${found}: give text, a finite number or a boolean`);
  }
  return String(value);
}

function encodeText(name: string, text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    throw new UnsendableInput(`\`${name}\` holds half of a surrogate pair, which no URL can carry`);
  }
}
