// Runs the service in front of the embedded GitHub under mixed load for a while: updates
// that are waited for, stored ones, webhooks, holds, rollbacks, reads, callers that leave,
// and a GitHub that fails. Each minute it prints what the process holds, and at the end
// whether that grew.
//
//   node .ci/soak.mjs MINUTES VERSIONS_SERVICE SANDBOX
//
// DATABASE_URL is a PostgreSQL database in place of a SQLite file; TMPDIR is where the
// files go. The exit code is 0 when nothing grew and every answer was one that the
// interface promises.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { start, startService } from './programs.mjs';

const minutes = Number(process.argv[2]);
const programs = process.argv.slice(3).map((path) => resolve(path));
assert.ok(minutes > 0 && programs.length === 2, 'usage: node .ci/soak.mjs MINUTES VERSIONS_SERVICE SANDBOX');
const [serviceProgram, sandboxProgram] = programs;

const minute = 60_000; // milliseconds, as the next six
const everyRound = 20_000; // the commits of a round stay within the pace of 200 an hour
const everyRead = 600;
const everyDeparture = 1_500;
const everySample = 5_000;
const patience = 180_000; // for what waits to end, once GitHub works again
const leaving = 10_000; // what connections that nobody uses are given
const margin = 1.1; // by how much the last third may be over the one before it
const slack = { goroutines: 5, fds: 5 }; // what the margin of a small number would leave out
const judged = 30; // minutes: the memory for repositories and the history fill for ten
const history = 16 << 20; // bytes, the least that queue.max_history may be
const cache = 32 << 20;
const memory = 128 << 20; // for Go, as in a pod of 160Mi: how often it collects is no growth

const secrets = { caller: 'a-secret-of-the-soak', hook: 'a-secret-of-the-registry' };
const fleet = { files: 400, images: 10 };
const image = (n) => `ghcr.io/octo-org/app-${n}`;
const fleetImages = Array.from({ length: fleet.images }, (_, n) => `ghcr.io/octo-org/fleet-${n}`);
const scratch = mkdtempSync(join(tmpdir(), 'soak-'));
const data = join(scratch, 'data');

// seed writes the manifests: an image in one file each, images that many files name, and
// files that name none of them.
function seed(folder) {
  const deployment = (...images) => `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  template:\n    spec:\n      containers:\n${images.map((name, n) => `        - name: c${n}\n          image: ${name}:v\n`).join('')}`;
  const write = (dir, count, content) => {
    mkdirSync(join(folder, dir), { recursive: true });
    for (let n = 0; n < count; n++) writeFileSync(join(folder, dir, `${n}.yaml`), content(n));
  };
  write('apps', 40, (n) => deployment(image(n)));
  write('fleet', fleet.files, (n) => `# ${n}\n${deployment(...fleetImages)}`);
  write('other', 200, (n) => `${deployment(`ghcr.io/octo-org/other-${n}`)}${`# nothing to see in ${n}\n`.repeat(150)}`);
}

// counted is how often each status was answered since the last row; offences are answers
// that the interface does not promise.
const counted = new Map();
const offences = [];
const promised = new Set([200, 201, 202, 204, 207, 304]);
const troubled = new Set([409, 429, 502, 503, 504]); // because of GitHub, a race or the pace

// call sends a request. allowed are statuses that are right for it beside those of every
// request; a caller that leaves gets none.
async function call(origin, method, path, { body, headers = {}, signal, allowed = [] } = {}) {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  try {
    const response = await fetch(origin + path, {
      method, body: text, signal, redirect: 'manual',
      headers: { Authorization: `Bearer ${secrets.caller}`, ...(text === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    });
    const answer = await response.text();
    const { status } = response;
    if (!promised.has(status)) counted.set(status, (counted.get(status) ?? 0) + 1);
    if (!promised.has(status) && !troubled.has(status) && !allowed.includes(status)) {
      offences.push(`${method} ${path} ${text?.slice(0, 200) ?? ''}: ${status} ${answer.slice(0, 500)}`);
    }
    return { status, etag: response.headers.get('ETag'), answer: answer.startsWith('{') ? JSON.parse(answer) : answer };
  } catch (error) {
    if (!signal?.aborted) offences.push(`${method} ${path}: ${error.cause ?? error}`);
    return { status: 0, answer: '' };
  }
}

const update = (origin, body, options) => call(origin, 'POST', '/v1/updates', { body, ...options });

function webhook(origin, name, version) {
  const body = JSON.stringify({
    action: 'published',
    registry_package: { package_type: 'CONTAINER', package_version: { package_url: `${name}:${version}`, container_metadata: { tag: { name: version } } } },
  });
  const signature = createHmac('sha256', secrets.hook).update(body).digest('hex');
  return call(origin, 'POST', '/v1/webhooks/ghcr', {
    body, headers: { 'X-GitHub-Event': 'registry_package', 'X-GitHub-Delivery': `${name}-${version}`, 'X-Hub-Signature-256': `sha256=${signature}` },
  });
}

// troubles are what GitHub does, a round each.
const troubles = [
  [],
  [{ effect: 'bad_gateway', probability: 0.1 }],
  [{ effect: 'latency', delay: '300ms', probability: 0.5 }],
  [{ effect: 'lost_race', times: 2 }, { effect: 'bad_gateway_after', method: 'PATCH', endpoint: 'git/refs', times: 1 }],
  [{ effect: 'secondary_limit', status: 429, delay: '3s', times: 1 }],
  [],
  [{ effect: 'drop', probability: 0.05 }, { effect: 'cut', probability: 0.05 }],
  [{ effect: 'silence', times: 1 }, { effect: 'silence_after', method: 'PATCH', endpoint: 'git/refs', times: 1 }],
  [{ effect: 'primary_limit', status: 403, delay: '3s', times: 1 }],
  [{ effect: 'stale', probability: 0.2 }, { effect: 'drop_after', method: 'PATCH', endpoint: 'git/refs', times: 1 }],
];

// order gives an order to the embedded GitHub.
async function order(hub, method, path, body) {
  const response = await fetch(`${hub}_sandbox/${path}`, { method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.text()}`);
}

// round sends everything that writes, at once, so that updates share commits.
async function round(origin, hub, n) {
  await order(hub, 'DELETE', 'faults');
  await order(hub, 'DELETE', 'requests');
  for (const fault of troubles[n % troubles.length]) await order(hub, 'POST', 'faults', fault);
  const version = `v${n}`;
  const push = { branch: 'main', message: 'Push', files: { [`other/${n % 50}.yaml`]: `# pushed ${n}\n`.repeat(300) } };
  await Promise.all([
    order(hub, 'POST', 'repositories/refty-yapi/refty-infra-test/commits', push),
    ...[0, 1, 2, 3].map((i) => update(origin, { image: image(i), version })),
    ...[4, 5, 6].map((i) => update(origin, { image: image(i), version }, { headers: { Prefer: 'respond-async' } })),
    update(origin, { image: image(7), version }, { headers: { Prefer: 'wait=5', 'Idempotency-Key': `round-${n}` } }),
    update(origin, { images: fleetImages.map((name) => ({ image: name, version })) }, { headers: { Prefer: 'respond-async' } }),
    ...Array.from({ length: 12 }, (_, i) => webhook(origin, image(10 + i), version)),
    update(origin, { image: image(0), version }, { headers: { Authorization: 'Bearer wrong' }, allowed: [401] }),
    call(origin, 'POST', '/v1/webhooks/ghcr', { body: {}, headers: { 'X-GitHub-Event': 'ping', 'X-Hub-Signature-256': 'sha256=00' }, allowed: [401] }),
    ...[30, 31].map((i) => update(origin, { image: image(i), version }, { signal: AbortSignal.timeout(40 * (i - 29)) })),
    holding(origin, n),
    n % 2 === 0 ? update(origin, { image: image(9), version }) : back(origin),
  ]);
}

// holding puts an image on hold, sends it an update, and releases it and what an earlier
// round left.
async function holding(origin, n) {
  await call(origin, 'POST', '/v1/holds', { body: { image: image(8), reason: 'soak' } });
  await update(origin, { image: image(8), version: `v${n}` });
  for (const { id } of (await call(origin, 'GET', '/v1/holds')).answer.holds ?? []) {
    await call(origin, 'DELETE', `/v1/holds/${id}`, { allowed: [404] });
  }
}

// back rolls an image back; the next round's holding releases it. There may be no
// earlier version yet (422).
const back = (origin) => call(origin, 'POST', '/v1/rollbacks', { body: { image: image(9), reason: 'soak' }, allowed: [422] });

// read sends the n-th of the requests that write nothing.
let etag = '';
async function read(origin, n) {
  const one = image(n % 24);
  const reads = [
    () => call(origin, 'GET', '/v1/images?limit=200'),
    () => call(origin, 'GET', '/v1/images?group_by=image'),
    () => call(origin, 'GET', '/v1/images', { headers: { Accept: 'text/csv' } }),
    async () => { ({ etag } = await call(origin, 'GET', '/v1/images?image=ghcr.io/octo-org/app-*', { headers: etag ? { 'If-None-Match': etag } : {} })); },
    () => call(origin, 'GET', `/v1/history?image=${one}`),
    () => call(origin, 'GET', '/v1/updates?limit=20'),
    () => call(origin, 'GET', '/v1/updates?status=failed'),
    () => update(origin, { image: one, version: `dry-${n}`, dry_run: true }),
    () => update(origin, { images: fleetImages.map((name) => ({ image: name, version: `dry-${n}` })), dry_run: true }),
    () => call(origin, 'GET', '/readyz'),
    () => call(origin, 'GET', '/'),
    () => call(origin, 'GET', '/docs'),
    () => call(origin, 'GET', '/openapi.yaml'),
    () => update(origin, '{"image":', { allowed: [400] }),
    () => update(origin, { image: one, version: 'no tag' }, { allowed: [422] }),
  ];
  await reads[n % reads.length]();
}

// depart sends a request and leaves before its answer; every third one leaves in the
// middle of its body.
async function depart(origin, n) {
  const signal = AbortSignal.timeout(1 + (n * 37) % 150);
  if (n % 3 === 0) return call(origin, 'GET', `/v1/history?image=${image(n % 24)}`, { signal });
  if (n % 3 === 1) return call(origin, 'GET', '/v1/images', { headers: { Accept: 'text/csv' }, signal });
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname, () => {
    socket.write(`POST /v1/updates HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${secrets.caller}\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"image":`);
    setTimeout(() => socket.destroy(), 500);
  });
  socket.on('error', () => {});
  await once(socket, 'close');
}

// every calls work at an interval until the time is over or a call fails, and returns when
// all calls have ended. A call is left out while so many run: a slow machine is no load.
async function every(interval, most, until, work) {
  const running = new Set();
  let failure;
  for (let n = 0, next = Date.now(); next < until && !failure; n++, next += interval) {
    await pause(Math.max(0, next - Date.now()));
    if (running.size >= most) continue;
    const one = work(n).catch((error) => { failure ??= error; }).finally(() => running.delete(one));
    running.add(one);
  }
  await Promise.all(running);
  if (failure) throw failure;
}

function databaseBytes() {
  if (process.env.DATABASE_URL) {
    return Number(execFileSync('psql', ['-XAtq', process.env.DATABASE_URL, '-c', 'SELECT pg_database_size(current_database())'], { encoding: 'utf8' }));
  }
  return readdirSync(data).reduce((sum, name) => sum + statSync(join(data, name)).size, 0);
}

const measured = ['rss', 'heap', 'goroutines', 'fds', 'database'];

// sample is what the process holds now.
async function sample(origin) {
  const metrics = await (await fetch(`${origin}/metrics`)).text();
  const sum = (name) => [...metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce((total, [, value]) => total + Number(value), 0);
  return {
    rss: sum('process_resident_memory_bytes'), heap: sum('go_memstats_heap_alloc_bytes'), goroutines: sum('go_goroutines'),
    fds: sum('process_open_fds'), database: databaseBytes(), waiting: sum('versions_service_queue_waiting'),
    updates: sum('versions_service_updates_total') + sum('versions_service_queue_ended_total'),
  };
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
const columns = ['minute', 'RSS_MiB', 'heap_MiB', 'goroutines', 'fds', 'database_MiB', 'updates', 'not_2xx'];
const widths = [6, 8, 9, 11, 5, 13, 8, 0];
const line = (...cells) => console.log(cells.map((cell, i) => String(cell).padStart(widths[i])).join(' '));
const show = (label, held, ...more) => line(label, mebibytes(held.rss), mebibytes(held.heap), held.goroutines, held.fds, mebibytes(held.database), ...more);

// combine makes one of several samples, key by key.
const combine = (samples, by) => Object.fromEntries(measured.map((key) => [key, by(samples.map((one) => one[key]))]));

// watch samples until the time is over, and prints and returns a row for each minute: the
// least that the process held in it, which no burst of requests and no garbage raises.
async function watch(origin, until) {
  const rows = [];
  let updates = 0;
  let samples = [];
  await every(everySample, 1, until, async () => {
    samples.push(await sample(origin));
    if (samples.length < minute / everySample) return;
    rows.push(combine(samples, (values) => Math.min(...values)));
    const statuses = [...counted].sort(([x], [y]) => x - y).map(([status, times]) => `${status}×${times}`).join(' ') || '-';
    show(rows.length, rows.at(-1), samples.at(-1).updates - updates, statuses);
    ({ updates } = samples.at(-1));
    samples = [];
    counted.clear();
  });
  return rows;
}

// growth compares the medians of the last third and of the one before it, and returns what
// grew.
function growth(rows) {
  const third = Math.floor(rows.length / 3);
  const before = combine(rows.slice(-2 * third, -third), median);
  const after = combine(rows.slice(-third), median);
  show('2nd/3', before);
  show('3rd/3', after);
  // Until there is as much history as is kept, the database grows.
  return measured.filter((key) => !(key === 'database' && before.database < history) && after[key] > before[key] * margin + (slack[key] ?? 0));
}

// settle lets GitHub work again, and wants all that waits to end.
async function settle(origin, hub) {
  await order(hub, 'POST', 'reset', {});
  for (const until = Date.now() + patience; ;) {
    const { waiting } = await sample(origin);
    if (waiting === 0) return;
    assert.ok(Date.now() < until, `${waiting} updates still wait`);
    await pause(1_000);
  }
}

async function main(stops) {
  let told = 0;
  // It refuses a third of what it is told.
  const receiver = createServer((request, response) => { request.resume(); response.writeHead(++told % 3 === 0 ? 500 : 204).end(); }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  stops.push(() => receiver.close());
  seed(join(scratch, 'manifests'));
  const { told: [api, repository], stop } = await start(
    sandboxProgram, ['--github-only', '--dir', join(scratch, 'hub'), '--from', join(scratch, 'manifests')], {}, /GITHUB_API_URL=(\S+)[^]*git -C (\S+) log[^]*Press Ctrl-C/);
  stops.push(stop);
  await order(api, 'PATCH', 'settings', { latency: '20ms' });
  writeFileSync(join(scratch, 'config.yaml'), JSON.stringify({
    queue: { max_history: history, retention: '24h' },
    webhooks: [{ name: 'ghcr', kind: 'ghcr', secrets: [{ value: secrets.hook }] }],
    notify: [{
      name: 'chat',
      http: { url: `http://127.0.0.1:${receiver.address().port}/`, secrets: [{ value: `whsec_${Buffer.alloc(32, 1).toString('base64')}` }], private: true, insecure: true },
    }],
  }));
  const service = await startService(serviceProgram, { api }, {
    CONFIG_FILE: join(scratch, 'config.yaml'), DATA_DIR: data, API_TOKENS: `ci=${secrets.caller}`, CACHE_BYTES: String(cache), GOMEMLIMIT: String(memory), UPDATE_TIMEOUT: '30s',
    ...(process.env.DATABASE_URL ? { DATABASE_URL: process.env.DATABASE_URL } : {}),
  });
  stops.push(service.stop);
  const origin = `http://${service.address}`;

  line(...columns);
  const end = Date.now() + minutes * minute;
  const [rows] = await Promise.all([
    watch(origin, end),
    every(everyRound, 1, end, (n) => round(origin, api, n)),
    every(everyRead, 2, end, (n) => read(origin, n)),
    every(everyDeparture, 2, end, (n) => depart(origin, n)),
  ]);
  await settle(origin, api);
  const after = await update(origin, { image: image(0), version: 'after' });
  assert.equal(after.status, 201, `an update afterwards: ${JSON.stringify(after.answer)}`);
  const broken = execFileSync('git', ['-C', repository, 'fsck', '--strict', '--no-dangling', '--no-progress'], { encoding: 'utf8' });
  assert.equal(broken, '', 'git finds faults in the repository');
  assert.deepEqual(offences.slice(0, 10), [], `${offences.length} answers that the interface does not promise`);
  await pause(leaving);
  const rest = await sample(origin);
  show('after', rest);
  console.log(`${rest.updates} updates ended, ${told} notifications arrived, and nothing waits`);
  if (minutes < judged) {
    console.log(`soak: growth is judged from ${judged} minutes on`);
    return;
  }
  assert.deepEqual(growth(rows), [], `the last third is more than ${Math.round((margin - 1) * 100)} % over the one before it`);
  console.log('soak: nothing grew');
}

const stops = [];
try {
  await main(stops);
} finally {
  const ends = await Promise.allSettled(stops.map(async (stop) => stop()));
  rmSync(scratch, { recursive: true, force: true });
  for (const { reason } of ends.filter(({ status }) => status === 'rejected')) {
    console.error(String(reason));
    process.exitCode = 1;
  }
}
