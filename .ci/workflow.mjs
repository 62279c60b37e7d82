// Executes the workflow of the chapter "GitHub Actions without secrets", step by step,
// against the built programs: the service with the chapter's configuration file, and an
// embedded GitHub with an issuer of job tokens.
//
//   node .ci/workflow.mjs VERSIONS_SERVICE SANDBOX
//
// The exit code is 0 when each job was answered as it should be.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parse } from 'yaml';

const [serviceProgram, sandboxProgram] = process.argv.slice(2);
assert.ok(sandboxProgram, 'usage: node .ci/workflow.mjs VERSIONS_SERVICE SANDBOX');

const page = 'pkg/config/README.md';
const heading = '## GitHub Actions without secrets in ten minutes';
const timeout = 60_000; // milliseconds, for a program to listen and for a step
const dir = mkdtempSync(join(tmpdir(), 'workflow-'));
const children = [];

// chapter returns the YAML blocks under the heading.
function chapter() {
  const text = readFileSync(page, 'utf8');
  const start = text.indexOf(`${heading}\n`);
  assert.notEqual(start, -1, `${page} has no chapter ${heading}`);
  const section = text.slice(start + heading.length).split('\n## ')[0];
  return [...section.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1]);
}

// start runs a program until find returns something for one of its lines.
function start(program, args, env, stream, find) {
  const child = spawn(program, args, { env: { PATH: process.env.PATH, HOME: dir, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const lines = [];
  return new Promise((resolve, reject) => {
    const told = () => `${program}:\n${lines.join('\n')}`;
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${told()}`)));
    setTimeout(() => reject(new Error(`does not listen: ${told()}`)), timeout).unref();
    for (const name of ['stdout', 'stderr']) {
      createInterface({ input: child[name] }).on('line', (line) => {
        lines.push(line);
        const found = name === stream && find(line);
        if (found) resolve({ found, lines });
      });
    }
  });
}

// expand puts in the values of expressions.
function expand(text, contexts) {
  return String(text).replace(/\$\{\{\s*(\w+)\.(\w+)\s*\}\}/g, (whole, context, name) => {
    const value = contexts[context]?.[name];
    assert.notEqual(value, undefined, `nothing is known of ${whole}`);
    return value;
  });
}

// runJob executes the steps of the job that are commands, as a runner does, and returns
// how the last one ended and what it printed.
function runJob(job, contexts, env) {
  const envFile = join(dir, 'github.env');
  writeFileSync(envFile, '');
  const variables = { ...env, GITHUB_ENV: envFile };
  for (const [name, value] of Object.entries(job.env ?? {})) variables[name] ??= expand(value, contexts);
  let last;
  for (const step of job.steps.filter((one) => one.run)) {
    for (const line of readFileSync(envFile, 'utf8').split('\n').filter(Boolean)) {
      const at = line.indexOf('=');
      variables[line.slice(0, at)] = line.slice(at + 1);
    }
    last = spawnSync('bash', ['-eo', 'pipefail', '-c', expand(step.run, contexts)], {
      env: { PATH: process.env.PATH, HOME: dir, ...variables }, encoding: 'utf8', timeout,
    });
    if (last.status !== 0) break;
  }
  return last;
}

async function main() {
  const [configuration, workflow] = chapter();
  const { found: requestURL, lines } = await start(sandboxProgram, ['--github-only', '--oidc', '--dir', join(dir, 'hub')],
    { LISTEN_ADDR: '127.0.0.1:0' }, 'stdout', (line) => line.startsWith('Press Ctrl-C') &&
      readFileSync(join(dir, 'hub', 'job.env'), 'utf8').match(/REQUEST_URL='([^']+)'/)[1]);
  const hub = lines.join('\n').match(/GITHUB_API_URL=(\S+)/)[1];
  assert.match(configuration, /issuer: github/);
  const configFile = join(dir, 'config.yaml');
  writeFileSync(configFile, configuration.replace('issuer: github', `issuer: ${new URL(requestURL).origin}`));
  const service = await start(serviceProgram, [], {
    GITHUB_REPOSITORY: 'refty-yapi/refty-infra-test', GITHUB_TOKEN: 'sandbox', GITHUB_API_URL: hub, CONFIG_FILE: configFile,
    LISTEN_ADDR: '127.0.0.1:0', DATA_DIR: join(dir, 'data'), LOG_FORMAT: 'json',
  }, 'stderr', (line) => line.includes('"msg":"listening"') && JSON.parse(line).addr);

  const [job] = Object.values(parse(workflow).jobs);
  assert.equal(job.permissions['id-token'], 'write');
  const repository = 'refty-yapi/refty-node';
  const cases = [
    { name: 'right repository', status: 201 },
    { name: 'other repository', claims: { repository: 'refty-yapi/bigquery' }, status: 403, code: 'policy_denied' },
    { name: 'right repository and wrong image', image: 'ghcr.io/refty-yapi/bigquery/data-sync-worker', status: 403, code: 'policy_denied' },
    { name: 'pull request of a fork', claims: { event_name: 'pull_request' }, status: 403, code: 'forbidden' },
    { name: 'other owner', claims: { repository_owner_id: '43' }, status: 403, code: 'forbidden' },
  ];
  for (const { name, claims = {}, image, status, code } of cases) {
    const own = image ? { IMAGE: image } : {};
    const ended = runJob(job, { github: { repository, sha: '0123456789abcdef0123456789abcdef01234567' }, vars: { VERSIONS_SERVICE_URL: `http://${service.found}` } }, {
      ...own, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token', ACTIONS_ID_TOKEN_REQUEST_URL: `${requestURL}&${new URLSearchParams(claims)}`,
      GITHUB_SHA: '0123456789abcdef0123456789abcdef01234567', GITHUB_REPOSITORY: repository,
    });
    const answer = JSON.parse(ended.stdout.slice(ended.stdout.indexOf('{')));
    const got = answer.code ? { status: answer.status, code: answer.code } : { status: ended.status === 0 && answer.status === 'committed' ? 201 : 0, code: undefined };
    assert.deepEqual(got, { status, code }, `${name}: ${ended.stdout}${ended.stderr}`);
    assert.equal(ended.status === 0, status === 201, `${name}: the job ends with ${ended.status}`);
    console.log(`workflow: ${name}: ${status}`);
  }
}

try {
  await main();
} finally {
  for (const child of children) {
    child.removeAllListeners('exit');
    child.kill('SIGTERM');
  }
  rmSync(dir, { recursive: true, force: true });
}
