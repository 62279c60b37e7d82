// What the checks in a browser share: the sandbox, the browser, and an eye on what
// must not happen on a page.
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';
import { start, timeout } from './programs.mjs';

export { timeout };
export const token = 'a-secret-of-ci';

// withSandbox runs work with the program and a browser, and ends both.
export async function withSandbox(program, environment, work) {
  const { told: [origin, repository], stop } = await start(program, [], { API_TOKENS: `ci=${token}`, ...environment }, /(http:\/\/\S+)\/docs\s[^]*git -C (\S+) log/);
  const git = (...args) => execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8' }).trimEnd();
  try {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: process.getuid() === 0 ? ['--no-sandbox'] : [],
    });
    try {
      await work({ origin, git }, browser);
    } finally {
      await browser.close();
    }
  } finally {
    await stop();
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
