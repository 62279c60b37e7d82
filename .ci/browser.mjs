// Tries the service out as a person does, in the Swagger UI: refused without a
// token, then authorised, one update, one commit on the branch, one in the history.
//
//   node .ci/browser.mjs SANDBOX [SCREENSHOT.png]
//
// SANDBOX is the built program cmd/sandbox. CHROMIUM names another browser than
// /usr/bin/chromium. The exit code is 0 when everything was as it should be.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chromium } from 'playwright-core';

const [program, screenshot] = process.argv.slice(2);
assert.ok(program, 'usage: node .ci/browser.mjs SANDBOX [SCREENSHOT.png]');

const token = 'a-secret-of-ci';
const timeout = 30_000; // milliseconds, for each step

// startSandbox resolves when the program has told where it listens and where its
// repository is.
async function startSandbox() {
  const child = spawn(program, [], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, API_TOKENS: `ci=${token}`, LISTEN_ADDR: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const told = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the sandbox ended with ${code}`)));
    setTimeout(() => reject(new Error(`the sandbox said only: ${output}`)), timeout).unref();
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const docs = output.match(/(http:\/\/\S+)\/docs\s/);
      const repository = output.match(/git -C (\S+) log/);
      if (docs && repository) resolve({ origin: docs[1], repository: repository[1] });
    });
  });
  try {
    return { child, ...(await told) };
  } catch (error) {
    child.kill();
    throw error;
  }
}

// watch notes everything that must not happen on the page.
function watch(page, origin) {
  const offences = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== origin) offences.push(`request to ${url.href}`);
  });
  page.on('requestfailed', (request) => offences.push(`failed: ${request.url()}: ${request.failure()?.errorText}`));
  page.on('pageerror', (error) => offences.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    // The browser notes every answer that is an error; this one is asked for.
    const refused = message.location().url === `${origin}/v1/updates` && message.text().includes('401');
    if (!refused) offences.push(`console: ${message.text()} (${message.location().url})`);
  });
  return offences;
}

// execute presses the button and reads the answer from the page.
async function execute(page, operation, status) {
  await operation.getByRole('button', { name: 'Execute' }).click();
  const answer = operation.locator('.live-responses-table tbody tr.response');
  await answer.locator('.response-col_status', { hasText: String(status) }).waitFor({ timeout });
  return JSON.parse(await answer.locator('.highlight-code code').first().innerText());
}

async function authorise(page) {
  await page.locator('.scheme-container button.authorize').click();
  const dialog = page.locator('.dialog-ux');
  await dialog.locator('input').fill(token);
  await dialog.getByRole('button', { name: 'Apply credentials' }).click();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await dialog.waitFor({ state: 'detached', timeout });
}

async function tryOut(page, { origin, repository }) {
  const git = (...args) => execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8' }).trim();
  const before = git('rev-parse', 'main');

  await page.goto(`${origin}/docs`);
  const operation = page.locator('#operations-updates-createUpdate');
  await operation.locator('.opblock-summary-control').click();
  assert.deepEqual(JSON.parse(await operation.locator('textarea.body-param__text').inputValue()), {
    image: 'ghcr.io/refty-yapi/refty-node/refty-node',
    version: '05-06-42a252',
  }, 'the body that is filled in');

  const refusal = await execute(page, operation, 401);
  assert.equal(refusal.code, 'unauthenticated');
  assert.equal(git('rev-parse', 'main'), before, 'a refused request moved the branch');

  await authorise(page);
  const answer = await execute(page, operation, 201);
  const { sha } = answer.targets[0].commit;
  assert.equal(git('rev-parse', 'main'), sha, 'the commit that the page shows is not the head of main');
  assert.equal(git('rev-parse', 'main^'), before, 'there is not exactly one commit');
  const files = git('diff', '--name-only', before, sha).split('\n');
  assert.deepEqual(answer.targets[0].files.map((file) => file.path).sort(), files.sort());

  const history = page.locator('#operations-updates-listUpdates');
  await history.locator('.opblock-summary-control').click();
  const { updates } = await execute(page, history, 200);
  assert.deepEqual(updates.map((update) => [update.id, update.status, update.caller]), [[answer.id, 'committed', 'ci']]);
  return `201, ${files.length} files in commit ${sha}`;
}

const sandbox = await startSandbox();
try {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: process.getuid() === 0 ? ['--no-sandbox'] : [],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
    page.setDefaultTimeout(timeout);
    const offences = watch(page, sandbox.origin);
    const outcome = await tryOut(page, sandbox);
    if (screenshot) await page.screenshot({ path: screenshot });
    assert.deepEqual(offences, []);
    console.log(`browser: 401 without a token; with it ${outcome}`);
  } finally {
    await browser.close();
  }
} finally {
  const { child } = sandbox;
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
  assert.equal(child.exitCode, 0, 'the sandbox did not stop gracefully');
}
