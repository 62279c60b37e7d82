// Executes the workflow of the chapter "GitHub Actions without secrets", step by step,
// against the built programs: the service with the chapter's configuration file, and an
// embedded GitHub with an issuer of job tokens.
//
//   node .ci/workflow.mjs VERSIONS_SERVICE SANDBOX
//
// The exit code is 0 when each job was answered as it should be.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { bash, evaluate, readVariables, runStep, startHub, startService } from './programs.mjs';

const [serviceProgram, sandboxProgram] = process.argv.slice(2).map((path) => resolve(path));
assert.ok(sandboxProgram, 'usage: node .ci/workflow.mjs VERSIONS_SERVICE SANDBOX');

const page = 'pkg/config/README.md';
const heading = '## GitHub Actions without secrets in ten minutes';
const dir = mkdtempSync(join(tmpdir(), 'workflow-'));
const stops = [];

// chapter returns the YAML blocks under the heading.
function chapter() {
  const text = readFileSync(page, 'utf8');
  const start = text.indexOf(`${heading}\n`);
  assert.notEqual(start, -1, `${page} has no chapter ${heading}`);
  const section = text.slice(start + heading.length).split('\n## ')[0];
  return [...section.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1]);
}

// runJob executes the steps of the job that are commands, as a runner does, and returns
// how the last one ended and what it printed.
async function runJob(job, contexts, env) {
  const envFile = join(dir, 'github.env');
  writeFileSync(envFile, '');
  const variables = { ...env, GITHUB_ENV: envFile };
  for (const [name, value] of Object.entries(job.env ?? {})) variables[name] ??= evaluate(value, contexts);
  let last;
  for (const step of job.steps.filter((one) => one.run)) {
    Object.assign(variables, readVariables(envFile));
    last = await runStep(bash(evaluate(step.run, contexts)), dir, variables);
    if (last.status !== 0) break;
  }
  return last;
}

async function main() {
  const [configuration, workflow] = chapter();
  const hub = await startHub(sandboxProgram, join(dir, 'hub'));
  stops.push(hub.stop);
  assert.match(configuration, /issuer: github/);
  const configFile = join(dir, 'config.yaml');
  writeFileSync(configFile, configuration.replace('issuer: github', `issuer: ${hub.issuer}`));
  const service = await startService(serviceProgram, hub, { CONFIG_FILE: configFile, DATA_DIR: join(dir, 'data') });
  stops.push(service.stop);

  const [job] = Object.values(parse(workflow).jobs);
  assert.equal(job.permissions['id-token'], 'write');
  const [repository, sha] = ['refty-yapi/refty-node', '0123456789abcdef0123456789abcdef01234567'];
  const cases = [
    { name: 'right repository', status: 201 },
    { name: 'other repository', claims: { repository: 'refty-yapi/bigquery' }, status: 403, code: 'policy_denied' },
    { name: 'right repository and wrong image', image: 'ghcr.io/refty-yapi/bigquery/data-sync-worker', status: 403, code: 'policy_denied' },
    { name: 'pull request of a fork', claims: { event_name: 'pull_request' }, status: 403, code: 'forbidden' },
    { name: 'other owner', claims: { repository_owner_id: '43' }, status: 403, code: 'forbidden' },
  ];
  for (const { name, claims = {}, image, status, code } of cases) {
    const own = image ? { IMAGE: image } : {};
    const contexts = { 'github.repository': repository, 'github.sha': sha, 'vars.VERSIONS_SERVICE_URL': `http://${service.address}` };
    const ended = await runJob(job, contexts, {
      ...own, ACTIONS_ID_TOKEN_REQUEST_TOKEN: hub.requestToken, ACTIONS_ID_TOKEN_REQUEST_URL: hub.urlFor(claims),
      GITHUB_SHA: sha, GITHUB_REPOSITORY: repository,
    });
    const answer = JSON.parse(ended.stdout.slice(ended.stdout.indexOf('{')));
    const got = answer.code ? { status: answer.status, code: answer.code } : { status: ended.status === 0 && answer.status === 'committed' ? 201 : 0, code: undefined };
    assert.deepEqual(got, { status, code }, `${name}: ${ended.output}`);
    assert.equal(ended.status === 0, status === 201, `${name}: the job ends with ${ended.status}`);
    console.log(`workflow: ${name}: ${status}`);
  }
}

try {
  await main();
} finally {
  for (const stop of stops.reverse()) await stop();
  rmSync(dir, { recursive: true, force: true });
}
