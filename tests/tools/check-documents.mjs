// Checks the generated documents with programs that are not ours, in Node:
// - openapi.json, openapi.yaml and openapi-3.0.json by @redocly/cli's recommended rules, without a configuration;
// - openrpc.json by OpenRPC's own meta-schema;
// - asyncapi.json by AsyncAPI's own parser; its schemas, and by them the examples of messages, by ajv as draft 07;
// - schema.graphql by graphql-js, and every GraphQL document of the reference against it;
// - TypeScript snippets of the reference, which are JavaScript too, by node's parser;
// - schemas/*.json by ajv in strict mode but for formats that OpenAPI registers.
// - test_data/fixtures, outputs and events, by ajv against those schemas.
// Anything found, a warning too, is printed and makes the exit code 1.
//
//   node tests/tools/check-documents.mjs [FOLDER [CHECK...]]
//
// FOLDER is docs by default; the checks are openapi, openrpc, asyncapi, graphql, snippets, schemas and fixtures,
// all unless some are named.
//
// Needs the packages of package-lock.json beside it (`npm ci`); uses no network.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Ajv } from 'ajv';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';
import { buildSchema, parse, validate, validateSchema } from 'graphql';

const here = dirname(fileURLToPath(import.meta.url));
const docs = resolve(process.argv[2] ?? join(here, '../../docs'));
const findings = [];
const done = [];

function found(file, message) {
  findings.push(`${file}: ${message}`);
}

function json(file) {
  return JSON.parse(readFileSync(join(docs, file), 'utf8'));
}

function checkOpenApi() {
  const redocly = join(here, 'node_modules/@redocly/cli/bin/cli.js');
  // An empty working folder: no configuration and no ignore file can be picked up.
  const cwd = mkdtempSync(join(tmpdir(), 'redocly-'));
  for (const file of ['openapi.json', 'openapi.yaml', 'openapi-3.0.json']) {
    const run = spawnSync(
      process.execPath,
      [redocly, 'lint', join(docs, file), '--extends=recommended', '--format=json', '--max-problems=1000'],
      {
        cwd,
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', CI: 'true' },
      },
    );
    let report;
    try {
      report = JSON.parse(run.stdout.slice(run.stdout.indexOf('{')));
    } catch {
      found(file, `redocly did not report (exit ${run.status}): ${run.stdout}${run.stderr}`);
      continue;
    }
    for (const problem of report.problems ?? []) {
      const at = problem.location?.[0]?.pointer ?? '';
      found(file, `redocly ${problem.severity} ${problem.ruleId} at ${at}: ${problem.message}`);
    }
    if (run.status !== 0 && (report.problems ?? []).length === 0) found(file, `redocly exits with ${run.status}`);
    done.push(`${file} by redocly`);
  }
  rmSync(cwd, { recursive: true, force: true });
}

function checkOpenRpc() {
  const { openrpcDocument } = createRequire(import.meta.url)('@open-rpc/meta-schema');
  const document = json('openrpc.json');
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, logger: false });
  // The meta-schema names a dialect and a schema of schemas that lie on the network.
  const anySchema = {
    type: ['object', 'boolean'],
    definitions: { JSONSchemaObject: { properties: { $ref: { type: 'string' } } } },
  };
  for (const id of ['https://meta.json-schema.tools', 'https://meta.json-schema.tools/']) ajv.addSchema(anySchema, id);
  const check = ajv.compile({ ...openrpcDocument, $schema: 'http://json-schema.org/draft-07/schema#' });
  if (!check(document)) for (const error of check.errors) found('openrpc.json', `${error.instancePath} ${error.message}`);
  const names = document.methods.map((method) => method.name);
  if (new Set(names).size !== names.length) found('openrpc.json', 'a method is there twice');
  const resolved = (pointer) =>
    pointer.slice(2).split('/').reduce((value, step) => value?.[step], document) !== undefined;
  const walk = (value) => {
    if (value === null || typeof value !== 'object') return;
    if (typeof value.$ref === 'string' && !resolved(value.$ref)) found('openrpc.json', `${value.$ref} leads nowhere`);
    Object.values(value).forEach(walk);
  };
  walk(document);
  done.push('openrpc.json by its meta-schema');
}

async function checkAsyncApi() {
  const { document, diagnostics } = await new Parser().parse(readFileSync(join(docs, 'asyncapi.json'), 'utf8'));
  for (const { code, message, path, severity } of diagnostics) {
    // What is no more than information: that AsyncAPI has a newer version.
    if (severity > DiagnosticSeverity.Warning) continue;
    found('asyncapi.json', `parser ${code} at ${path.join('/')}: ${message}`);
  }
  if (document === undefined) return;
  const { components } = json('asyncapi.json');
  const ajv = strictAjv(Ajv);
  ajv.addKeyword('components');
  ajv.addSchema({ components }, 'asyncapi.json');
  for (const name of Object.keys(components.schemas)) {
    try {
      ajv.compile({ $ref: `asyncapi.json#/components/schemas/${name}` });
    } catch (error) {
      found('asyncapi.json', `schema ${name}: ${error.message}`);
    }
  }
  for (const [name, { payload, examples = [] }] of Object.entries(components.messages)) {
    const check = ajv.compile({ $ref: `asyncapi.json${payload.$ref}` });
    for (const example of examples) {
      if (!check(example.payload)) found('asyncapi.json', `example ${example.name} of ${name}: ${ajv.errorsText(check.errors)}`);
    }
  }
  done.push(`asyncapi.json by its parser: ${document.channels().length} channels, ${document.messages().length} messages`);
}

function checkGraphQl() {
  let schema;
  try {
    schema = buildSchema(readFileSync(join(docs, 'schema.graphql'), 'utf8'));
  } catch (error) {
    found('schema.graphql', error.message);
    return;
  }
  for (const error of validateSchema(schema)) found('schema.graphql', error.message);
  done.push('schema.graphql by graphql-js');
  const folder = join(docs, 'reference');
  let count = 0;
  for (const page of existsSync(folder) ? readdirSync(folder).sort() : []) {
    const text = readFileSync(join(folder, page), 'utf8');
    for (const [, document] of text.matchAll(/^```graphql\n([\s\S]*?)^```$/gm)) {
      count += 1;
      try {
        for (const error of validate(schema, parse(document))) found(`reference/${page}`, `${error.message}\n${document}`);
      } catch (error) {
        found(`reference/${page}`, `${error.message}\n${document}`);
      }
    }
  }
  done.push(`${count} GraphQL documents of the reference`);
}

function checkSnippets() {
  const folder = join(docs, 'reference');
  let count = 0;
  for (const page of existsSync(folder) ? readdirSync(folder).sort() : []) {
    const text = readFileSync(join(folder, page), 'utf8');
    for (const [, code] of text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)) {
      count += 1;
      try {
        // Imports stand in modules only, which node parses from files; they are no part of a call.
        new Function('db', `return async () => {${code.replace(/^import .*$/gm, '')}}`);
      } catch (error) {
        found(`reference/${page}`, `${error.message}\n${code}`);
      }
    }
  }
  done.push(`${count} TypeScript snippets`);
}

// Strict but for what the contract's schemas do on purpose; formats are those that OpenAPI registers.
function strictAjv(Dialect) {
  const ajv = new Dialect({ strict: true, strictTypes: false, strictRequired: false, logger: false });
  for (const format of ['date-time', 'date', 'uuid', 'password', 'int32', 'int64', 'uint32', 'uint64', 'double']) {
    ajv.addFormat(format, true);
  }
  return ajv;
}

function checkSchemas() {
  const folder = join(docs, 'schemas');
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  for (const file of files) {
    const ajv = strictAjv(Ajv2020);
    try {
      ajv.compile(json(`schemas/${file}`));
    } catch (error) {
      found(`schemas/${file}`, error.message);
    }
  }
  done.push(`${files.length} JSON Schemas by ajv`);
}

// Recorded calls and events, beside the documents, against schemas/*.json.
function checkFixtures() {
  const folder = join(docs, '../test_data/fixtures');
  // Documents that were copied elsewhere have none beside them.
  if (process.argv[2] && !existsSync(folder)) return;
  const openrpc = json('openrpc.json');
  const outputs = new Map(
    openrpc.methods.map((method) => [method.name, method.result?.schema?.$ref?.split('/').at(-1)]),
  );
  const validators = new Map();
  const fits = (file, type, value) => {
    if (!validators.has(type)) validators.set(type, strictAjv(Ajv2020).compile(json(`schemas/${type}.json`)));
    const validate = validators.get(type);
    if (!validate(value)) found(file, `not a ${type}: ${JSON.stringify(validate.errors)}`);
  };
  let values = 0;
  for (const kind of ['operations', 'views']) {
    for (const name of readdirSync(join(folder, kind)).sort()) {
      const { id, examples } = JSON.parse(readFileSync(join(folder, kind, name), 'utf8'));
      for (const { output, events = [] } of examples) {
        if (output !== undefined && outputs.get(id)) {
          fits(name, outputs.get(id), output);
          values += 1;
        }
        for (const { event, data } of events) {
          fits(name, event, data);
          values += 1;
        }
      }
    }
  }
  done.push(`${values} recorded outputs and events by ajv`);
}

const checks = {
  openapi: checkOpenApi,
  openrpc: checkOpenRpc,
  asyncapi: checkAsyncApi,
  graphql: checkGraphQl,
  snippets: checkSnippets,
  schemas: checkSchemas,
  fixtures: checkFixtures,
};
const chosen = process.argv.slice(3);
for (const [name, check] of Object.entries(checks)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  try {
    await check();
  } catch (error) {
    found(name, error.stack ?? String(error));
  }
}
for (const line of findings) console.error(line);
console.log(`checked: ${done.join(', ')}; ${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;
