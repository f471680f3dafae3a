// Compares the schema that a server tells by introspection with a published one, by graphql-js.
//   node tests/tools/compare-schemas.mjs URL SCHEMA.graphql
// Prints where they differ and exits with 1 when they do. No credentials are sent: introspection needs none.

import { readFileSync } from 'node:fs';
import {
  buildClientSchema,
  buildSchema,
  findBreakingChanges,
  findDangerousChanges,
  getIntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';

const [url, file] = process.argv.slice(2);
const query = getIntrospectionQuery({
  descriptions: true,
  directiveIsRepeatable: true,
  inputValueDeprecation: true,
  oneOf: true,
  schemaDescription: false,
  specifiedByUrl: true,
});
const response = await fetch(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query }),
});
const answer = await response.json();
if (answer.errors) {
  console.error(JSON.stringify(answer.errors, null, 1));
  process.exit(1);
}
const live = lexicographicSortSchema(buildClientSchema(answer.data));
const published = lexicographicSortSchema(buildSchema(readFileSync(file, 'utf8')));
const found = [...findBreakingChanges(published, live), ...findBreakingChanges(live, published)];
found.push(...findDangerousChanges(published, live));
// A scalar of the language itself comes and goes with its use: a parsed schema has all, an introspected one those used.
const changes = found.filter(({ description }) => !description.startsWith('Standard scalar '));
for (const { type, description } of changes) console.error(`${type}: ${description}`);
// Descriptions, deprecations and `@oneOf` are in the text only.
const lines = (schema) => printSchema(schema).split('\n');
const [ofLive, ofPublished] = [lines(live), lines(published)];
let differences = 0;
for (let at = 0; at < Math.max(ofLive.length, ofPublished.length) && differences < 20; at += 1) {
  if (ofLive[at] !== ofPublished[at]) {
    differences += 1;
    console.error(`line ${at + 1}\n  live:      ${ofLive[at]}\n  published: ${ofPublished[at]}`);
  }
}
console.log(`${Object.keys(published.getTypeMap()).length} types compared`);
process.exitCode = changes.length + differences === 0 ? 0 : 1;
