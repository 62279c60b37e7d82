// What the checks in a browser share: the sandbox, the browser, and an eye on what
// must not happen on a page.
import { execFileSync, spawn } from 'node:child_process';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chromium } from 'playwright-core';

export const timeout = 30_000; // milliseconds, for each step
export const token = 'a-secret-of-ci';

// startSandbox resolves when the program has told where it listens and where its
// repository is.
async function startSandbox(program, environment) {
  const child = spawn(program, [], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, API_TOKENS: `ci=${token}`, LISTEN_ADDR: '127.0.0.1:0', ...environment },
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
    const { origin, repository } = await told;
    const git = (...args) => execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8' }).trimEnd();
    return { child, origin, git };
  } catch (error) {
    child.kill();
    throw error;
  }
}

// withSandbox runs work with the program and a browser, and ends both.
export async function withSandbox(program, environment, work) {
  const sandbox = await startSandbox(program, environment);
  try {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: process.getuid() === 0 ? ['--no-sandbox'] : [],
    });
    try {
      await work(sandbox, browser);
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
}

// watch notes everything that must not happen on the page. expected reports whether
// an answer that is an error is asked for.
export function watch(page, origin, expected = () => false) {
  const offences = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== origin) offences.push(`request to ${url.href}`);
  });
  page.on('requestfailed', (request) => offences.push(`failed: ${request.url()}: ${request.failure()?.errorText}`));
  page.on('pageerror', (error) => offences.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !expected(message.location().url, message.text())) {
      offences.push(`console: ${message.text()} (${message.location().url})`);
    }
  });
  return offences;
}
