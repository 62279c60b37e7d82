// Runs every query of the Grafana dashboard against a Prometheus that scrapes the service
// in front of the embedded GitHub under load, and wants an answer to each.
//
//   node .ci/dashboard.mjs VERSIONS_SERVICE SANDBOX
//
// The exit code is 0 when no query is empty.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as reserve } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { start } from './programs.mjs';

const programs = process.argv.slice(2).map((path) => resolve(path));
assert.equal(programs.length, 2, 'usage: node .ci/dashboard.mjs VERSIONS_SERVICE SANDBOX');
const [service, sandbox] = programs;
const dashboard = JSON.parse(readFileSync(resolve(import.meta.dirname, '../k8s/overlays/monitoring/dashboard.json'), 'utf8'));

const patience = 60_000; // milliseconds, for all queries together
const betweenRounds = 250; // so that the commits which may be made at once last for many scrapes
const images = ['ghcr.io/refty-yapi/refty-node/refty-node', 'ghcr.io/refty-yapi/bigquery/data-sync-worker'];
const callerSecret = 'a-secret-of-the-dashboard';
const hookSecret = 'a-secret-of-the-registry';
const scratch = mkdtempSync(join(tmpdir(), 'dashboard-'));
const stops = [];

// run starts a program that goes on until the end, and returns what it told.
async function run(program, args, env, pattern) {
  const { told, stop } = await start(program, args, env, pattern);
  stops.push(stop);
  return told[0];
}

async function freePort() {
  const server = reserve().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

const post = (url, body, headers = {}) => fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });

// load makes one of everything that the dashboard shows.
async function load(origin, n) {
  const authorization = { Authorization: `Bearer ${callerSecret}` };
  await post(`${origin}/v1/updates`, { image: images[n % 2], version: `v${n}` }, authorization);
  await post(`${origin}/v1/updates`, { image: images[(n + 1) % 2], version: `v${n}` }, { ...authorization, Prefer: 'respond-async' });
  await post(`${origin}/v1/updates`, { image: images[0], version: 'v' });
  const body = { action: 'published' };
  const signature = createHmac('sha256', hookSecret).update(JSON.stringify(body)).digest('hex');
  await post(`${origin}/v1/webhooks/ghcr`, body, { 'X-GitHub-Event': 'registry_package', 'X-Hub-Signature-256': `sha256=${signature}` });
}

// queries are those of the dashboard, as Grafana would send them.
const queries = dashboard.panels.flatMap((panel) => panel.targets.map((target) => ({
  title: panel.title,
  expr: target.expr.replaceAll('$__rate_interval', '10s').replaceAll(/=~"\$(?:namespace|job)"/g, '=~".*"'),
})));
for (const { expr } of queries) assert.ok(!expr.includes('$'), `a variable is not replaced: ${expr}`);

// isAnswered reports whether a query has a value that is a number.
async function isAnswered(prometheus, expr) {
  const answer = await (await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(expr)}`)).json();
  assert.equal(answer.status, 'success', `${expr}: ${answer.error}`);
  return answer.data.result.some(({ value }) => Number.isFinite(Number(value[1])));
}

const receiver = createServer((request, response) => { request.resume(); response.writeHead(204).end(); });
try {
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const hub = await run(sandbox, ['--github-only'], {}, /(http:\/\/127\.0\.0\.1:\d+)/);
  const expires = new Date(Date.now() + 40 * 86_400_000).toISOString();
  const added = await post(`${hub}/_sandbox/tokens`, { secret: 'that-ends', name: 'service', expires });
  assert.ok(added.ok, await added.text());
  writeFileSync(join(scratch, 'config.yaml'), JSON.stringify({
    targets: [{ repository: 'refty-yapi/refty-infra-test' }],
    notify: [{
      name: 'chat',
      http: { url: `http://127.0.0.1:${receiver.address().port}/`, secrets: [{ value: `whsec_${Buffer.alloc(32, 1).toString('base64')}` }], private: true, insecure: true },
    }],
    webhooks: [{ name: 'ghcr', kind: 'ghcr', secrets: [{ value: hookSecret }] }],
  }));
  const address = await run(service, [], {
    CONFIG_FILE: join(scratch, 'config.yaml'), GITHUB_TOKEN: 'that-ends', GITHUB_API_URL: hub,
    API_TOKENS: `ci=${callerSecret}`, DATA_DIR: join(scratch, 'data'), LOG_FORMAT: 'json',
  }, /"msg":"listening","addr":"([^"]+)"/);
  writeFileSync(join(scratch, 'prometheus.yml'), JSON.stringify({
    global: { scrape_interval: '1s' },
    scrape_configs: [{ job_name: 'versions-service', static_configs: [{ targets: [address], labels: { namespace: 'infra' } }] }],
  }));
  const port = await freePort();
  await run('prometheus', [
    `--config.file=${join(scratch, 'prometheus.yml')}`, `--storage.tsdb.path=${join(scratch, 'tsdb')}`, `--web.listen-address=127.0.0.1:${port}`,
  ], {}, /(Server is ready to receive web requests)/);

  let empty = queries;
  for (let n = 0, until = Date.now() + patience; empty.length > 0 && Date.now() < until; n++) {
    await load(`http://${address}`, n);
    await pause(betweenRounds);
    const answered = await Promise.all(empty.map(({ expr }) => isAnswered(`http://127.0.0.1:${port}`, expr)));
    empty = empty.filter((_, i) => !answered[i]);
  }
  assert.deepEqual(empty, [], 'these queries have no answer');
  console.log(`dashboard: ${queries.length} queries of ${dashboard.panels.length} panels have answers`);
} finally {
  receiver.close();
  for (const stop of stops.reverse()) await stop();
  rmSync(scratch, { recursive: true, force: true });
}
