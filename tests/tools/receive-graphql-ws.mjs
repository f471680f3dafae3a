// Receives one change through the npm package graphql-ws, for the tests named foreign_*.
//   TOKEN=... node tests/tools/receive-graphql-ws.mjs BASE_URL TABLE
// Says "ready" once the subscription is effective, then the row it was told as JSON.

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [base, table] = process.argv.slice(2);
const client = createClient({
  url: `${base.replace('http', 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${process.env.TOKEN}` },
  retryAttempts: 0,
  onNonLazyError: fail,
});

function fail(error) {
  console.error(error);
  process.exit(1);
}

const query = 'subscription ($table: String!) { tableChanges(table: $table) { row { data } control { kind } } }';
try {
  for await (const result of client.iterate({ query, variables: { table } })) {
    if (result.errors) fail(result.errors);
    const { row, control } = result.data.tableChanges;
    if (control?.kind === 'BOOKMARK') console.log('ready');
    if (row) {
      console.log(JSON.stringify(row.data));
      break;
    }
  }
  await client.dispose();
} catch (error) {
  fail(error);
}
