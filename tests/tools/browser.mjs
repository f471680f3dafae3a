// Drives the server's pages in Chromium, for the tests named browser_*.
//   API_KEY=... TAGS=a,b node tests/tools/browser.mjs SCENARIO BASE_URL CHROMIUM PROFILE_FOLDER SCREENSHOT
// Scenarios: swagger, graphiql, asyncapi, streams. Anything unexpected, a request to another host too, makes the exit code 1.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [scenario, base, executablePath, profile, screenshot] = process.argv.slice(2);
const key = process.env.API_KEY;
const foreign = [];
const problems = [];

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: 1400, height: 1000 },
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(30_000);
page.on('request', (request) => {
  const url = request.url();
  if (!url.startsWith(base) && !url.startsWith('data:') && !url.startsWith('blob:')) foreign.push(url);
});
page.on('pageerror', (error) => problems.push(String(error)));
page.on('console', (message) => {
  if (message.type() === 'error') problems.push(message.text());
});

// The block of an operation in Swagger UI, opened.
async function operation(method, path) {
  const block = page.locator(`.opblock-${method}`, { has: page.locator(`[data-path="${path}"]`) });
  await block.locator('.opblock-summary-control').click();
  await block.locator('.execute').waitFor();
  return block;
}

// Executes the operation and answers status and body of what came.
async function execute(block) {
  const arrived = page.waitForResponse((response) => response.url().startsWith(`${base}/api/`));
  await block.locator('.execute').click();
  const response = await arrived;
  // What an earlier call came to may be shown until the page has drawn this one's answer.
  const shown = block.locator('.live-responses-table .response .response-col_status').first();
  await shown.filter({ hasText: new RegExp(`^\\s*${response.status()}`) }).waitFor();
  return { status: response.status(), body: await response.json(), headers: await response.request().allHeaders() };
}

async function swagger() {
  await page.goto(`${base}/swagger-ui/`);
  await page.locator('.opblock-tag').first().waitFor();
  const tags = await page.locator('.opblock-tag').evaluateAll((all) => all.map((tag) => tag.getAttribute('data-tag')));
  assert.deepEqual(tags.toSorted(), process.env.TAGS.split(',').toSorted(), 'every module is a tag');

  const health = await execute(await operation('get', '/api/v1/health'));
  assert.equal(health.status, 200);
  assert.equal(health.body.status, 'healthy');

  const query = await operation('post', '/api/v1/sql/query');
  await query.locator('textarea.body-param__text').fill(JSON.stringify({ sql: 'SELECT 6 * 7 AS answer' }));
  const denied = await execute(query);
  assert.equal(denied.status, 401, 'without a key');

  await page.locator('.auth-wrapper .authorize').first().click();
  const field = page.locator('.auth-container', { hasText: 'X-API-Key' });
  await field.locator('input').fill(key);
  await field.locator('button.authorize').click();
  await page.locator('.modal-ux button.btn-done').first().click();
  const allowed = await execute(query);
  assert.equal(allowed.status, 200, JSON.stringify(allowed.body));
  assert.equal(allowed.headers['x-api-key'], key);
  assert.deepEqual(allowed.body.rows, [{ answer: 42 }]);
  await query.locator('.live-responses-table').scrollIntoViewIfNeeded();
}

async function graphiql() {
  await page.goto(`${base}/graphql`);
  const editor = page.locator('.graphiql-query-editor .CodeMirror, .graphiql-query-editor .monaco-editor').first();
  await editor.waitFor();
  const fill = async (holder, text) => {
    await page.evaluate(
      ([selector, value]) => document.querySelector(selector).CodeMirror.setValue(value),
      [holder, text],
    );
  };
  // The name is that of the page's first document: GraphiQL learns of another only some time after it was typed.
  await fill('.graphiql-query-editor .CodeMirror', 'query Operations { authValidate { username roles } }');
  const run = async () => {
    const arrived = page.waitForResponse(
      (response) =>
        response.url() === `${base}/graphql` && (response.request().postData() ?? '').includes('authValidate'),
    );
    await page.locator('.graphiql-execute-button').click();
    return (await arrived).json();
  };
  const denied = await run();
  assert.equal(denied.errors[0].extensions.code, 'UNAUTHENTICATED');
  const bearer = await token();
  await fill('.graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror', JSON.stringify({ authorization: `Bearer ${bearer}` }));
  // Another text than before, for the history's sake, which notes a text once.
  await fill('.graphiql-query-editor .CodeMirror', 'query Operations { authValidate { roles username } }');
  const allowed = await run();
  assert.deepEqual(allowed, { data: { authValidate: { roles: ['admin'], username: 'admin' } } });
  await page.locator('.result-window', { hasText: '"admin"' }).waitFor();
  await page.locator('button[aria-label="Show Documentation Explorer"]').click();
  await page.locator('.graphiql-doc-explorer', { hasText: 'Query' }).waitFor();
  // The history misses a call that is answered at once.
  const noted = () => page.evaluate(() => (localStorage.getItem('graphiql:queries') ?? '').includes('roles username'));
  for (let calls = 0; !(await noted()); calls++) {
    assert.ok(calls < 50, 'the history notes a call with a token');
    await run();
  }
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
  assert.ok(kept.includes('authValidate'), 'calls are kept in the browser');
  assert.ok(!kept.includes(bearer), 'the token is not kept in the browser');
}

// The page of the streams: every channel and message is shown, without a request to another host.
async function asyncapi() {
  await page.goto(`${base}/asyncapi`);
  await page.getByText('table_changes').first().waitFor();
  const text = await page.locator('body').innerText();
  const missing = process.env.VIEWS.split(',').filter((view) => !text.includes(view));
  assert.deepEqual(missing, [], 'every view is on the page');
}

// EventSource and WebSocket of the browser are told a row that is inserted over GraphQL.
async function streams() {
  const bearer = await token();
  // EventSource cannot set headers. Those that a proxy would add come from here, for it alone.
  await page.route('**/api/v1/sse/**', (route) =>
    route.continue({ headers: { ...route.request().headers(), authorization: `Bearer ${bearer}` } }),
  );
  await graphql(bearer, 'mutation { databaseCreateTable(name: "orders", columns: [{name: "id", type: "bigint"}], primaryKey: ["id"]) { name } }');
  await page.goto(`${base}/asyncapi`);
  await page.evaluate((bearer) => {
    const told = (globalThis.told = {});
    const source = new EventSource('/api/v1/sse/database/table-changes?table=orders');
    told.sse = new Promise((resolve, reject) => {
      source.addEventListener('TableRowChange', (event) => {
        source.close();
        resolve({ id: event.lastEventId, row: JSON.parse(event.data).data.row.data });
      });
      source.addEventListener('error', () => reject(new Error('EventSource lost its connection')));
    });
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/api/v1/ws`, ['rustydb.json', `bearer.${bearer}`]);
    const params = { view: 'database.table_changes', args: { table: 'orders' } };
    socket.addEventListener('open', () =>
      socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscribe', params })),
    );
    const heard = (wanted) =>
      new Promise((resolve, reject) => {
        socket.addEventListener('message', ({ data }) => {
          const message = JSON.parse(data);
          if (wanted(message)) resolve(message);
          if (message.error) reject(new Error(data));
        });
        socket.addEventListener('close', ({ code, reason }) => reject(new Error(`closed with ${code} ${reason}`)));
      });
    told.ws = heard((message) => message.method === 'event').then((message) => message.params.data.row.data);
    const opened = new Promise((resolve) => source.addEventListener('open', resolve));
    return Promise.all([opened, heard((message) => message.result?.subscription)]).then(() => undefined);
  }, bearer);
  await graphql(bearer, 'mutation { databaseInsertRows(name: "orders", rows: [{id: 7}]) { inserted } }');
  const told = await page.evaluate(async () => ({ sse: await globalThis.told.sse, ws: await globalThis.told.ws }));
  assert.deepEqual(told.sse.row, { id: 7 });
  assert.match(told.sse.id, /^[\w-]{32}$/, 'the event has a cursor');
  assert.deepEqual(told.ws, { id: 7 });
}

// A call over GraphQL that must succeed.
async function graphql(bearer, query) {
  const response = await fetch(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    body: JSON.stringify({ query }),
  });
  const body = await response.json();
  assert.equal(body.errors, undefined, JSON.stringify(body));
  return body.data;
}

// An access token: GraphiQL is used with the Authorization header.
async function token() {
  const response = await fetch(`${base}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password: process.env.PASSWORD }),
  });
  return (await response.json()).access_token;
}

try {
  await { swagger, graphiql, asyncapi, streams }[scenario]();
  assert.deepEqual(foreign, [], 'the page asks no other host');
  // A refused call is logged by the browser; it was asked for.
  const unexpected = problems.filter((problem) => !problem.includes('401'));
  assert.deepEqual(unexpected, [], 'the page has no errors');
} catch (error) {
  console.error(error, problems, foreign);
  process.exitCode = 1;
} finally {
  await page.screenshot({ path: screenshot });
  await context.close();
}
