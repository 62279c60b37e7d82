// Runs what the README gives to jobs of GitHub Actions, GitLab CI and Jenkins, and
// action.yml, as the runners of those do, against the built programs: the service in
// front of the embedded GitHub, with callers by OpenID Connect and by a secret.
//
//   node .ci/jobs.mjs VERSIONS_SERVICE SANDBOX
//
// The exit code is 0 when everything was as it should be.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { bash, evaluate, readVariables, runStep, startHub, startService } from './programs.mjs';

const programs = process.argv.slice(2).map((path) => resolve(path));
assert.equal(programs.length, 2, 'usage: node .ci/jobs.mjs VERSIONS_SERVICE SANDBOX');
const [service, sandbox] = programs;

const root = resolve(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const image = 'ghcr.io/refty-yapi/refty-node/refty-node';
const secret = 'a-secret-of-jenkins-that-nobody-may-see';
const scratch = mkdtempSync(join(tmpdir(), 'jobs-'));
const stops = [];

// blocks are the README's blocks of a language that hold a word.
const blocks = (language, word) => [...readme.matchAll(new RegExp('^```' + language + '\\n([^]*?)^```$', 'gm'))].map((m) => m[1]).filter((text) => text.includes(word));

function only(list, what) {
  assert.equal(list.length, 1, `the README has ${list.length} blocks for ${what}`);
  return list[0];
}

// run runs a job's commands and returns what they printed; no secret is among it.
async function run(name, argv, env, wanted = 0) {
  const { status, output } = await runStep(argv, scratch, env);
  assert.equal(status, wanted, `${name}: exit code ${status}\n${output}`);
  for (const hidden of [secret, hub.requestToken, 'eyJ']) { // every token of an issuer begins with the last one
    assert.ok(!output.includes(hidden), `${name} prints a secret\n${output}`);
  }
  return output;
}

// action runs action.yml as the runner of GitHub Actions does, with those inputs.
async function action(name, inputs, env, wanted = 0) {
  const { inputs: declared, outputs, runs } = parse(readFileSync(join(root, 'action.yml'), 'utf8'));
  for (const input of Object.keys(inputs)) assert.ok(input in declared, `action.yml has no input ${input}`);
  assert.equal(runs.using, 'composite');
  const values = {};
  for (const [input, { default: fallback, required }] of Object.entries(declared)) {
    assert.ok(input in inputs || !required, `the README leaves out the input ${input}`);
    values[`inputs.${input}`] = String(inputs[input] ?? fallback);
  }
  const files = { GITHUB_OUTPUT: join(scratch, 'output'), GITHUB_STEP_SUMMARY: join(scratch, 'summary') };
  let output = '';
  for (const step of runs.steps) {
    assert.ok(!step.uses && !/\$\{\{/.test(step.run), 'a step of action.yml uses an action, or an expression in its command');
    Object.values(files).forEach((file) => writeFileSync(file, ''));
    const own = Object.fromEntries(Object.entries(step.env).map(([key, value]) => [key, evaluate(value, values)]));
    output += await run(name, bash(step.run), { GITHUB_ACTION_PATH: root, ...files, ...env, ...own }, wanted);
    for (const [key, value] of Object.entries(readVariables(files.GITHUB_OUTPUT))) values[`steps.${step.id}.outputs.${key}`] = value;
  }
  return {
    output, summary: readFileSync(files.GITHUB_STEP_SUMMARY, 'utf8'),
    ...Object.fromEntries(Object.entries(outputs).map(([key, { value }]) => [key, evaluate(value, values)])),
  };
}

const git = (...args) => execFileSync('git', ['-C', hub.repository, ...args], { encoding: 'utf8' });

let hub;
try {
  hub = await startHub(sandbox, join(scratch, 'hub'));
  stops.push(hub.stop);
  const config = join(scratch, 'config.yaml');
  writeFileSync(config, `callers:
  - {name: jobs, oidc: {issuer: "${hub.issuer}", audience: "https://versions.example.com", claims: {repository_owner_id: 42}}}
  - {name: jenkins, tokens: [{value: ${secret}}]}
rules:
  - {name: own, callers: [jobs], images: ["ghcr.io/\${repository}/**"]}
  - {name: every, callers: [jenkins], images: ["ghcr.io/**"]}
`);
  const { address, stop } = await startService(service, hub, { CONFIG_FILE: config, DATA_DIR: join(scratch, 'data') });
  stops.push(stop);
  const here = (text) => text.replaceAll('https://versions.example.com', `http://${address}`).replaceAll('http://versions-service.default.svc', `http://${address}`);

  // GitHub Actions: the job's own token, and no secret.
  const github = parse(only(blocks('yaml', 'uses: refty-yapi/refty-node-versions-service'), 'GitHub Actions'));
  const step = github.steps.at(-1);
  assert.equal(github.permissions['id-token'], 'write');
  const inputs = Object.fromEntries(Object.entries(step.with).map(([key, value]) => [key, here(evaluate(value, { 'github.sha': '05-06-42a252' }))]));
  const job = {
    GITHUB_ACTIONS: 'true', GITHUB_RUN_ID: '17', GITHUB_RUN_ATTEMPT: '1', GITHUB_JOB: 'deploy', GITHUB_REPOSITORY: 'octo-org/web', GITHUB_SHA: '42a252d',
    ACTIONS_ID_TOKEN_REQUEST_URL: hub.urlFor({ sha: '42a252d', run_id: '17' }), ACTIONS_ID_TOKEN_REQUEST_TOKEN: hub.requestToken,
  };
  const audience = { audience: 'https://versions.example.com' };
  const planned = await action('a dry run', { ...inputs, ...audience, 'dry-run': 'true' }, job);
  assert.equal(planned.status, 'planned');
  assert.match(planned.output, /^\| \+.*05-06-42a252/m);
  assert.equal(git('rev-list', '--count', 'main').trim(), '1');
  const committed = await action('GitHub Actions', { ...inputs, ...audience }, job);
  assert.equal(committed.status, 'committed');
  assert.equal(committed.commit, git('rev-parse', 'main').trim());
  assert.match(committed.summary, /05-06-42a252: committed/);
  assert.match(git('log', '-1', '--format=%B', 'main'), /Source-Revision: 42a252d/);
  const refused = await action('another image', { ...inputs, ...audience, image: 'ghcr.io/refty-yapi/bigquery/data-sync-worker' }, job, 2);
  assert.match(refused.output, /^::error title=versions-service::/m);
  const hostile = await action('what is no version', { ...inputs, ...audience, version: '$(touch owned)"`touch owned`\n::set-output name=a::b' }, job, 2);
  assert.doesNotMatch(hostile.output, /^\s*::(?!error title=versions-service::)/m);
  assert.throws(() => readFileSync(join(scratch, 'owned')));

  // GitLab CI: the token of id_tokens.
  const ofGitLab = { project_path: 'refty-yapi/refty-node', namespace_id: '42', pipeline_source: 'push', sha: '42a252e', job_id: '99' };
  const gitlab = Object.values(parse(only(blocks('yaml', 'id_tokens:'), 'GitLab CI')))[0];
  const [[variable, { aud }]] = Object.entries(gitlab.id_tokens);
  const expand = (text) => text.replace(/\$(\w+)/g, (_, key) => ({ CI_REGISTRY_IMAGE: image, CI_COMMIT_SHA: '05-06-42a253' })[key]);
  const variables = Object.fromEntries(Object.entries(gitlab.variables).map(([key, value]) => [key, here(expand(value))]));
  execFileSync('cp', [join(root, '.github/set-version.sh'), scratch]);
  await run('GitLab CI', bash([gitlab.script].flat().join('\n')), { ...variables, CI_JOB_ID: '99', [variable]: await hub.token({ ...ofGitLab, audience: aud }) });
  assert.match(git('log', '-1', '--format=%B', 'main'), /05-06-42a253/);

  // Jenkins: a secret.
  const jenkins = here(only(blocks('groovy', 'withCredentials'), 'Jenkins'));
  const [, credential] = jenkins.match(/variable: '(\w+)'/);
  const [, command] = jenkins.match(/sh '([^']+)'/);
  await run('Jenkins', ['sh', '-xe', '-c', command], { GIT_COMMIT: '05-06-42a254', BUILD_TAG: 'jenkins-web-7', [credential]: secret });
  assert.match(git('log', '-1', '--format=%B', 'main'), /05-06-42a254[^]*Source-Revision: 05-06-42a254/);

  // The program itself, as a step of a job that has it.
  await run('the command line', [service, 'bump', '--output', 'github', image, '05-06-42a255'], {
    ...job, VERSIONS_SERVICE_URL: `http://${address}`, VERSIONS_SERVICE_AUDIENCE: 'https://versions.example.com',
  });
  assert.match(git('log', '-1', '--format=%B', 'main'), /05-06-42a255/);
  console.log('jobs of GitHub Actions, GitLab CI and Jenkins: ok');
} finally {
  for (const stop of stops.reverse()) await stop();
  rmSync(scratch, { recursive: true, force: true });
}
