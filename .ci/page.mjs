// Uses the page for people as they do, by keyboard and by mouse: the images, a plan,
// its diff, the commit, the history, a rollback that holds, the hold's release, a
// promotion. Each view is checked with axe-core, light and dark, wide and narrow.
//
//   node .ci/page.mjs SANDBOX [FOLDER FOR SCREENSHOTS]
//
// SANDBOX is the built program cmd/sandbox. CHROMIUM names another browser than
// /usr/bin/chromium. The exit code is 0 when everything was as it should be.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { timeout, token, watch, withSandbox } from './sandbox.mjs';

const [program, screenshots] = process.argv.slice(2);
assert.ok(program, 'usage: node .ci/page.mjs SANDBOX [FOLDER FOR SCREENSHOTS]');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const image = 'ghcr.io/refty-yapi/refty-node/refty-node';
const [old, fresh] = ['10-10-ver', '05-06-42a252'];

// Two targets on one branch, so that there is drift and something to promote.
const configuration = `
targets:
  - {name: staging, repository: refty-yapi/refty-infra-test, paths: {include: ["overlays/**", "charts/**"]}}
  - {name: production, repository: refty-yapi/refty-infra-test, paths: {include: ["apps/**"]}}
`;

const views = {
  images: ['#/', 'Images'],
  image: [`#/image/${encodeURIComponent(image)}`, image],
  updates: ['#/updates', 'Updates'],
  holds: ['#/holds', 'Holds'],
  promote: ['#/promote', 'Promote'],
};

const shown = (page, heading) => page.getByRole('heading', { level: 1, name: heading }).waitFor();

async function accessible(page, what) {
  await page.waitForFunction(() => !document.querySelector('main[aria-busy]'));
  const { violations } = await page.evaluate(async () => {
    await Promise.all(document.getAnimations().map((a) => a.finished));
    return globalThis.axe.run();
  });
  assert.deepEqual(violations.map((v) => `${what}: ${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), []);
}

async function signIn(page) {
  const dialog = page.getByRole('dialog', { name: 'Who are you?' });
  await page.keyboard.type('a-wrong-secret');
  await page.keyboard.press('Enter');
  await dialog.getByRole('alert').waitFor();
  await page.keyboard.type(token);
  await page.keyboard.press('Enter');
  await shown(page, 'Images');
}

// byKeyboard finds the image and sets its version without a mouse.
async function byKeyboard(page, git) {
  const before = git('rev-parse', 'main');
  await page.keyboard.press('/');
  await page.keyboard.type('refty-node/refty-node');
  const link = page.getByRole('link', { name: image, exact: true });
  await page.getByRole('link', { name: /data-sync-worker/ }).waitFor({ state: 'detached' });
  for (let i = 0; i < 5 && !(await link.evaluate((e) => e === document.activeElement)); i++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await shown(page, image);
  await page.getByRole('button', { name: 'Set a version' }).last().focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Set a version' });
  await dialog.getByLabel('Version', { exact: true }).focus();
  await page.keyboard.type(fresh);
  await page.keyboard.press('Enter');
  const commit = dialog.getByRole('button', { name: 'Commit' });
  await commit.waitFor();
  await accessible(page, 'plan');
  const diffs = await dialog.locator('figure.diff .add, figure.diff .del').allInnerTexts();
  assert.equal(git('rev-parse', 'main'), before, 'the plan moved the branch');

  await page.keyboard.press('Enter'); // the button has the focus
  await dialog.getByRole('button', { name: 'Done' }).waitFor();
  const written = git('diff', before, 'main').split('\n').filter((l) => /^[-+](?![-+]{2} )/.test(l));
  assert.deepEqual(diffs.map((l) => l.trimEnd()).sort(), written.map((l) => l.trimEnd()).sort(), 'the commit is not what the plan showed');
  await accessible(page, 'outcome');
  await page.keyboard.press('Enter');
  await page.locator('ol.history li').first().getByText(fresh, { exact: true }).first().waitFor();
}

// byMouse rolls back with a hold, meets the hold, and releases it.
async function byMouse(page, origin, git) {
  await page.getByRole('button', { name: 'Roll back', exact: true }).click();
  let dialog = page.getByRole('dialog', { name: 'Roll back' });
  await dialog.getByLabel('Where').selectOption('production');
  await dialog.getByLabel('Why').fill('errors after the release');
  await accessible(page, 'rollback');
  await dialog.getByRole('button', { name: 'Show the plan' }).click();
  await dialog.getByRole('button', { name: 'Roll back' }).click();
  await dialog.getByRole('button', { name: 'Done' }).click();
  assert.match(git('log', '-1', '--format=%B', 'main'), /^Hold-Id: /m);
  assert.match(git('show', 'main:apps/listing-sync-deploy.yaml'), new RegExp(`${image}:${old}`));

  await page.getByText('Held in production by ci: errors after the release.').waitFor();
  await page.goto(`${origin}/${views.images[0]}`);
  await page.getByRole('row').filter({ has: page.getByRole('link', { name: image, exact: true }) }).getByText('drift', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Holds' }).click();
  await page.getByText('errors after the release').waitFor();
  await page.getByRole('button', { name: /^Release/ }).click();
  await page.getByText('Nothing is held.').waitFor();
}

// hold keeps an image until a time, and releases it.
async function hold(page, origin) {
  await page.goto(`${origin}/${views.image[0]}`);
  await shown(page, image);
  await page.getByRole('button', { name: 'Hold', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Hold an image' });
  await dialog.getByLabel('Where').selectOption('production');
  await dialog.getByLabel('Why').fill('holidays');
  const until = new Date(Math.ceil(Date.now() / 60_000 + 90) * 60_000);
  const local = new Date(until - until.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  await dialog.getByLabel('Until').fill(local);
  await accessible(page, 'hold');
  await dialog.getByRole('button', { name: 'Hold' }).click();
  await page.getByText('Held in production by ci: holidays.').waitFor();
  await page.getByRole('link', { name: 'Holds', exact: true }).click();
  await shown(page, 'Holds');
  const end = await page.locator('td[data-column=Until] time').getAttribute('datetime');
  assert.equal(Date.parse(end), until.getTime(), 'the hold ends at another time');
  await page.getByRole('button', { name: /^Release/ }).click();
  await page.getByText('Nothing is held.').waitFor();
}

// narrow plans a change of some of the files alone.
async function narrow(page, origin) {
  await page.goto(`${origin}/${views.image[0]}`);
  await shown(page, image);
  await page.getByRole('button', { name: 'Set a version' }).last().click();
  const dialog = page.getByRole('dialog', { name: 'Set a version' });
  await dialog.getByLabel('Version', { exact: true }).fill('narrow');
  await dialog.getByText('Only some of the files').click();
  await dialog.getByLabel('Files').fill('overlays/**, charts/**');
  await page.keyboard.press('Enter');
  await dialog.getByText('2 references would change.').waitFor();
  await accessible(page, 'narrow plan');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
}

async function promote(page, git) {
  await page.getByRole('link', { name: 'Promote' }).click();
  await shown(page, 'Promote');
  await page.getByLabel('From').selectOption('staging');
  await page.getByRole('combobox', { name: 'To', exact: true }).selectOption('production');
  await page.getByLabel('Images').fill(image);
  await page.getByRole('main').getByRole('button', { name: 'Show the plan' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Commit' }).click();
  await dialog.getByRole('button', { name: 'Done' }).click();
  assert.match(git('show', 'main:apps/listing-sync-deploy.yaml'), new RegExp(`${image}:${fresh}`));
}

// everyView looks at each view in both colour schemes at both widths.
async function everyView(page) {
  for (const [width, colorScheme] of [[1440, 'light'], [1440, 'dark'], [360, 'light'], [360, 'dark']]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    for (const [name, [hash, heading]] of Object.entries(views)) {
      await page.evaluate((h) => { location.hash = h; }, hash);
      await shown(page, heading);
      await accessible(page, `${name}, ${width} ${colorScheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} pixels wider than ${width}`);
      if (screenshots) await page.screenshot({ path: join(screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), 'page-'));
try {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, configuration);
  await withSandbox(program, { CONFIG_FILE: file }, async ({ origin, git }, browser) => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, bypassCSP: false });
    page.setDefaultTimeout(timeout);
    await page.addInitScript({ content: axe });
    const offences = watch(page, origin, (url, text) => text.includes('401'));
    await page.goto(`${origin}/`);
    await signIn(page);
    await byKeyboard(page, git);
    await byMouse(page, origin, git);
    if (await page.getByRole('dialog').count()) await signIn(page);
    await hold(page, origin);
    await narrow(page, origin);
    await promote(page, git);
    await everyView(page);
    assert.deepEqual(offences, []);
    const stored = await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length);
    assert.equal(stored, 0, 'the page keeps something');
  });
} finally {
  rmSync(folder, { recursive: true });
}
console.log('page: keyboard, mouse, rollback, hold, promotion; every view accessible, light and dark, wide and narrow');
