// Tries the service out as a person does, in the Swagger UI: refused without a
// token, then authorised, one update, one commit on the branch, one in the history.
//
//   node .ci/browser.mjs SANDBOX [SCREENSHOT.png]
//
// SANDBOX is the built program cmd/sandbox. CHROMIUM names another browser than
// /usr/bin/chromium. The exit code is 0 when everything was as it should be.
import assert from 'node:assert/strict';
import { timeout, token, watch, withSandbox } from './sandbox.mjs';

const [program, screenshot] = process.argv.slice(2);
assert.ok(program, 'usage: node .ci/browser.mjs SANDBOX [SCREENSHOT.png]');

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

async function tryOut(page, { origin, git }) {
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

await withSandbox(program, {}, async (sandbox, browser) => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
  page.setDefaultTimeout(timeout);
  const refused = (url, text) => url === `${sandbox.origin}/v1/updates` && text.includes('401');
  const offences = watch(page, sandbox.origin, refused);
  const outcome = await tryOut(page, sandbox);
  if (screenshot) await page.screenshot({ path: screenshot });
  assert.deepEqual(offences, []);
  console.log(`browser: 401 without a token; with it ${outcome}`);
});
