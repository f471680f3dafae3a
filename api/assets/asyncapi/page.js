// Shows /asyncapi.json: channels with their operations, then messages, then schemas. Text of the document is only ever
// set as text, never as markup.
"use strict";

// An element with attributes and children; a child that is text becomes text.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
}

// Text in which `code` is set as code.
function line(text) {
  return text.split(/`([^`]*)`/).map((part, at) => (at % 2 === 0 ? part : element("code", {}, part)));
}

// Paragraphs of such text.
function prose(text) {
  return text.split("\n\n").filter(Boolean).map((paragraph) => element("p", {}, ...line(paragraph)));
}

const lastStep = (reference) => reference.slice(reference.lastIndexOf("/") + 1);

function link(kind, name) {
  return element("a", { href: `#${kind}-${name}` }, element("code", {}, name));
}

// Separated by commas.
function list(items) {
  return items.flatMap((item, at) => (at === 0 ? [item] : [", ", item]));
}

// A schema in a line: its type with its bounds, references as links.
function typeOf(schema) {
  if (schema.$ref) return [link("schema", lastStep(schema.$ref))];
  for (const choice of ["oneOf", "anyOf"]) {
    if (schema[choice] && !schema.properties) {
      return schema[choice].flatMap((one, at) => (at === 0 ? typeOf(one) : [" or ", ...typeOf(one)]));
    }
  }
  if (schema.enum) return list(schema.enum.map((value) => element("code", {}, JSON.stringify(value))));
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items ?? {}), bounds(schema)];
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return ["map of ", ...typeOf(schema.additionalProperties)];
  }
  const word = [schema.type ?? "any value"].flat().join(" or ");
  return [schema.format ? `${word} (${schema.format})` : word, bounds(schema)];
}

// Bounds that a number's format does not say already.
function bounds(schema) {
  const parts = [];
  const range = (low, high, unit) => {
    if (low !== undefined && high !== undefined) parts.push(`${low} to ${high}${unit}`);
    else if (low !== undefined) parts.push(`at least ${low}${unit}`);
    else if (high !== undefined) parts.push(`at most ${high}${unit}`);
  };
  const edges = [0, -(2 ** 31), 2 ** 31 - 1, 2 ** 32 - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
  const told = (bound) => (schema.type === "integer" && edges.includes(bound) ? undefined : bound);
  range(told(schema.minimum), told(schema.maximum), "");
  range(schema.minLength, schema.maxLength, " characters");
  range(schema.minItems, schema.maxItems, " items");
  if (schema.pattern) parts.push(`matching ${schema.pattern}`);
  return parts.length === 0 ? "" : `, ${parts.join(", ")}`;
}

// Rows of an object's members; what objects hold that have no name of their own is indented below them.
function rows(schema, depth = 0) {
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const notes = [required.includes(name) ? "required" : "optional"];
    if (member.default !== undefined) notes.push(`default ${JSON.stringify(member.default)}`);
    const text = [member.description, member.deprecated ? "Deprecated." : undefined].filter(Boolean).join(" ");
    const row = element(
      "tr",
      {},
      element("td", {}, "\u2003".repeat(depth), element("code", {}, name)),
      element("td", {}, ...typeOf(member), element("div", { class: "quiet" }, notes.join(", "))),
      element("td", {}, ...line(text)),
    );
    const inner = [member, ...(member.allOf ?? [])].filter((part) => part.properties);
    const references = (member.allOf ?? []).filter((part) => part.$ref);
    if (references.length > 0) row.children[1].prepend(...references.flatMap((part) => [...typeOf(part), " and "]));
    return [row, ...inner.flatMap((part) => rows(part, depth + 1))];
  });
}

function schemaBody(schema) {
  const body = [];
  if (schema.description) body.push(...prose(schema.description));
  const objects = [schema, ...(schema.allOf ?? [])].filter((part) => part.properties);
  const members = objects.flatMap((part) => rows(part));
  if (members.length > 0) body.push(element("table", {}, element("tbody", {}, ...members)));
  const variants = (schema.oneOf ?? []).filter((variant) => variant.properties);
  if (variants.length > 0) {
    for (const variant of variants) {
      body.push(element("h4", {}, variant.title ?? "One of"), ...schemaBody(variant));
    }
  } else if (members.length === 0) {
    body.push(element("p", {}, ...typeOf(schema)));
  }
  return body;
}

function entry(kind, name, head, body) {
  return element("details", { id: `${kind}-${name}` }, element("summary", {}, ...head), element("div", {}, ...body));
}

const quiet = (text = "") => element("span", { class: "quiet" }, " ", ...line(text));

function messageNames(operation) {
  return (operation?.messages ?? []).map((message) => link("message", lastStep(message.$ref)));
}

function operationBody(name, operation) {
  const body = [
    element(
      "h4",
      {},
      element("span", { class: `action ${operation.action}` }, operation.action === "send" ? "sends" : "receives"),
      " ",
      element("code", {}, name),
      quiet(operation.summary),
    ),
  ];
  if (operation.description) body.push(...prose(operation.description));
  body.push(element("p", {}, "Messages: ", ...list(messageNames(operation))));
  if (operation.reply) body.push(element("p", {}, "Answers: ", ...list(messageNames(operation.reply))));
  const query = operation.bindings?.http?.query;
  if (query) body.push(element("p", {}, `${operation.bindings.http.method} with the query `, ...typeOf(query)));
  return body;
}

function channelEntry(name, channel, operations) {
  const servers = channel.servers.map((server) => lastStep(server.$ref)).join(", ");
  const body = [element("p", {}, element("code", {}, channel.address), quiet(servers))];
  if (channel.description) body.push(...prose(channel.description));
  const query = channel.bindings?.ws?.query;
  if (query) body.push(element("p", {}, "Opened with the query ", ...typeOf(query)));
  for (const [id, operation] of operations) body.push(...operationBody(id, operation));
  return entry("channel", name, [name, quiet(channel.summary ?? channel.title)], body);
}

function messageEntry(name, message, schemas) {
  const body = [];
  if (message.headers) {
    body.push(element("h4", {}, "Headers"), ...schemaBody(message.headers));
  }
  body.push(
    element("h4", {}, "Payload ", ...typeOf(message.payload)),
    ...schemaBody(schemas[lastStep(message.payload.$ref)]),
  );
  for (const example of message.examples ?? []) {
    body.push(
      element("h4", {}, "Example ", element("code", {}, example.name)),
      element("pre", {}, JSON.stringify(example.payload, undefined, 2)),
    );
  }
  return entry("message", name, [name, quiet(message.summary)], body);
}

function section(title, entries) {
  return element("section", {}, element("h2", {}, title), ...entries);
}

function show(api) {
  const operations = Object.entries(api.operations);
  const channels = Object.entries(api.channels).map(([name, channel]) => {
    const own = operations.filter(([, operation]) => lastStep(operation.channel.$ref) === name);
    return channelEntry(name, channel, own);
  });
  const messages = Object.entries(api.components.messages).map(([name, message]) =>
    messageEntry(name, message, api.components.schemas),
  );
  const schemas = Object.entries(api.components.schemas).map(([name, schema]) =>
    entry("schema", name, [name], schemaBody(schema)),
  );
  document.getElementById("version").textContent = `AsyncAPI ${api.asyncapi}, version ${api.info.version}`;
  const sections = [section("Channels", channels), section("Messages", messages), section("Schemas", schemas)];
  document.getElementById("document").replaceChildren(
    ...prose(api.info.description),
    ...sections,
  );
  document.getElementById("contents").replaceChildren(
    ...sections.flatMap((part) => [
      element("h2", {}, part.firstChild.textContent),
      ...[...part.querySelectorAll("details")].map((details) => {
        const name = details.id.slice(details.id.indexOf("-") + 1);
        return element("a", { href: `#${details.id}` }, name);
      }),
    ]),
  );
  const search = document.getElementById("search");
  search.addEventListener("input", () => filter(search.value));
  window.addEventListener("hashchange", openTarget);
  filter(search.value);
  openTarget();
}

// Shows the entries that hold every word.
function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const details of document.querySelectorAll("details")) {
    const content = details.textContent.toLowerCase();
    details.hidden = !words.every((word) => content.includes(word));
    shown += details.hidden ? 0 : 1;
    document.querySelector(`nav a[href="#${CSS.escape(details.id)}"]`).hidden = details.hidden;
  }
  document.getElementById("count").textContent = words.length === 0 ? "" : `${shown} found`;
}

// Opens what the address names, also where the search hides it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
  if (target === null) return;
  target.hidden = false;
  target.open = true;
  target.scrollIntoView();
}

fetch("/asyncapi.json")
  .then((answer) => {
    if (!answer.ok) throw new Error(`/asyncapi.json answers ${answer.status}`);
    return answer.json();
  })
  .then(show)
  .catch((error) => {
    document.getElementById("document").textContent = `The document cannot be shown: ${error.message}`;
  });
