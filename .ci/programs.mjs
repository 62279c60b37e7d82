// What the checks share that start the built programs, or play a runner of CI.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const timeout = 30_000; // milliseconds, for a program to listen
const stepTimeout = 60_000; // and for a step of a job
const kept = 64 << 10; // characters of what a program printed last

// start runs a program until it has printed something that matches, and returns the
// match's groups and how to stop it. Beside env it has PATH and HOME alone.
export async function start(program, args, env, pattern) {
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LISTEN_ADDR: '127.0.0.1:0', ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const stop = () => stopped(child, () => output);
  const told = new Promise((resolve, reject) => {
    let match;
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${output}`)));
    setTimeout(() => reject(new Error(`${program} said only: ${output}`)), timeout).unref();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-kept);
        match ??= output.match(pattern);
        if (match) resolve(match.slice(1));
      });
    }
  });
  try {
    return { told: await told, stop };
  } catch (error) {
    child.kill();
    throw error;
  }
}

// stopped ends a program as Kubernetes does, and wants a graceful end.
async function stopped(child, output) {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
  assert.equal(child.exitCode, 0, `${child.spawnfile} did not stop gracefully: ${output()}`);
}

// startHub starts the embedded GitHub with its issuer. token returns what the issuer
// gives a job with those claims, and requestURL is where a job asks for its own.
export async function startHub(sandbox, dir) {
  const { told: [api, repository], stop } = await start(sandbox, ['--github-only', '--oidc', '--dir', dir], {}, /GITHUB_API_URL=(\S+)[^]*git -C (\S+) log[^]*Press Ctrl-C/);
  const job = readFileSync(join(dir, 'job.env'), 'utf8');
  const [, requestURL] = job.match(/REQUEST_URL='([^']+)'/);
  const [, requestToken] = job.match(/REQUEST_TOKEN='([^']+)'/);
  const urlFor = (claims) => `${requestURL}&${new URLSearchParams(claims)}`;
  const token = async (claims) => {
    const answer = await fetch(urlFor(claims), { headers: { Authorization: `Bearer ${requestToken}` } });
    return (await answer.json()).value;
  };
  return { api, repository, issuer: new URL(requestURL).origin, urlFor, requestToken, token, stop };
}

// startService starts the service in front of the embedded GitHub, and returns its
// address.
export async function startService(service, hub, env) {
  const { told: [address], stop } = await start(service, [], {
    GITHUB_REPOSITORY: 'refty-yapi/refty-infra-test', GITHUB_BRANCH: 'main', GITHUB_TOKEN: 'sandbox', GITHUB_API_URL: hub.api,
    LOG_FORMAT: 'json', ...env,
  }, /"msg":"listening"[^\n]*"addr":"(127\.0\.0\.1:\d+)"/);
  return { address, stop };
}

// evaluate puts in the values of expressions of GitHub Actions, by their names.
export const evaluate = (text, values) => String(text).replace(/\$\{\{\s*([\w.-]+)\s*\}\}/g, (_, name) => {
  assert.ok(name in values, `the expression ${name} has no value here`);
  return values[name];
});

// readVariables reads a file such as GITHUB_OUTPUT, of a line for each.
export const readVariables = (file) => Object.fromEntries(
  readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => line.split(/=(.*)/s).slice(0, 2)));

// runStep runs a step's command in a folder of its own, and returns how it ended and
// what it printed. Beside env it has PATH and HOME alone.
export async function runStep(argv, dir, env) {
  const child = spawn(argv[0], argv.slice(1), {
    cwd: dir, env: { PATH: process.env.PATH, HOME: dir, CI: 'true', ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: stepTimeout,
  });
  const ended = { stdout: '', output: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => { ended.stdout += text; ended.output += text; });
  child.stderr.setEncoding('utf8').on('data', (text) => { ended.output += text; });
  const [status] = await once(child, 'close');
  return { status, ...ended };
}

// bash is the command by which runners run a script.
export const bash = (script) => ['bash', '--noprofile', '--norc', '-eo', 'pipefail', '-c', script];
