// Runs what the README gives to jobs of GitHub Actions, GitLab CI and Jenkins, and
// action.yml, as the runners of those do, against the built programs: the service in
// front of the embedded GitHub, with callers by OpenID Connect and by a secret.
//
//   node .ci/jobs.mjs VERSIONS_SERVICE SANDBOX
//
// The exit code is 0 when everything was as it should be.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';

const programs = process.argv.slice(2).map((path) => resolve(path));
assert.equal(programs.length, 2, 'usage: node .ci/jobs.mjs VERSIONS_SERVICE SANDBOX');
const [service, sandbox] = programs;

const root = resolve(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const image = 'ghcr.io/refty-yapi/refty-node/refty-node';
const secret = 'a-secret-of-jenkins-that-nobody-may-see';
const timeout = 30_000; // milliseconds, for each program to listen
const scratch = mkdtempSync(join(tmpdir(), 'jobs-'));
const children = [];

// start runs a program until it has printed something that matches.
async function start(program, args, env, pattern) {
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LISTEN_ADDR: '127.0.0.1:0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let output = '';
  return new Promise((done, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${output}`)));
    setTimeout(() => reject(new Error(`${program} said only: ${output}`)), timeout).unref();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
        const match = output.match(pattern);
        if (match) done(match.slice(1));
      });
    }
  });
}

// startIssuer serves discovery, the key, and the address at which a job of GitHub
// Actions asks for its token.
async function startIssuer(claims) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const issuer = { requestToken: randomUUID(), tokens: [] };
  issuer.token = (aud) => {
    const now = Math.floor(Date.now() / 1000);
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'RS256', kid: 'one', typ: 'JWT' })}.${part({ ...claims, iss: issuer.url, aud, iat: now, nbf: now, exp: now + 300, jti: randomUUID() })}`;
    const token = `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
    issuer.tokens.push(token);
    return token;
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url, issuer.url);
    const answers = {
      '/.well-known/openid-configuration': () => ({
        issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, response_types_supported: ['id_token'],
        subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256'],
      }),
      '/jwks': () => ({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' }] }),
      '/token': () => {
        assert.equal(request.headers.authorization, `Bearer ${issuer.requestToken}`);
        return { value: issuer.token(url.searchParams.get('audience')) };
      },
    };
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(answers[url.pathname]()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer.url = `http://127.0.0.1:${server.address().port}`;
  issuer.close = () => server.close();
  return issuer;
}

// blocks are the README's blocks of a language that hold a word.
const blocks = (language, word) => [...readme.matchAll(new RegExp('^```' + language + '\\n([^]*?)^```$', 'gm'))].map((m) => m[1]).filter((text) => text.includes(word));

function only(list, what) {
  assert.equal(list.length, 1, `the README has ${list.length} blocks for ${what}`);
  return list[0];
}

// evaluate replaces the expressions of GitHub Actions by values.
const evaluate = (text, values) => String(text).replace(/\$\{\{\s*([\w.-]+)\s*\}\}/g, (_, name) => {
  assert.ok(name in values, `the expression ${name} has no value here`);
  return values[name];
});

// run runs a job's commands and returns what they printed; no secret is among it.
async function run(name, argv, env, wanted = 0) {
  const child = spawn(argv[0], argv.slice(1), {
    cwd: scratch, env: { PATH: process.env.PATH, HOME: scratch, CI: 'true', ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  const [status] = await once(child, 'close');
  assert.equal(status, wanted, `${name}: exit code ${status}\n${output}`);
  for (const hidden of [secret, issuer.requestToken, ...issuer.tokens]) {
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
    const script = join(scratch, 'step.sh');
    writeFileSync(script, step.run);
    const own = Object.fromEntries(Object.entries(step.env).map(([key, value]) => [key, evaluate(value, values)]));
    output += await run(name, ['bash', '--noprofile', '--norc', '-eo', 'pipefail', script], { GITHUB_ACTION_PATH: root, ...files, ...env, ...own }, wanted);
    for (const line of readFileSync(files.GITHUB_OUTPUT, 'utf8').split('\n').filter(Boolean)) {
      const [key, value] = line.split(/=(.*)/s);
      values[`steps.${step.id}.outputs.${key}`] = value;
    }
  }
  return {
    output, summary: readFileSync(files.GITHUB_STEP_SUMMARY, 'utf8'),
    ...Object.fromEntries(Object.entries(outputs).map(([key, { value }]) => [key, evaluate(value, values)])),
  };
}

const git = (...args) => execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8' });

const issuer = await startIssuer({
  sub: 'repo:refty-yapi/refty-node:ref:refs/heads/main', repository: 'refty-yapi/refty-node', repository_owner_id: '42',
  project_path: 'refty-yapi/refty-node', namespace_id: '42', event_name: 'push', pipeline_source: 'push', sha: '42a252d', run_id: '17', job_id: '99',
});
let repository;
try {
  const config = join(scratch, 'config.yaml');
  writeFileSync(config, `callers:
  - {name: jobs, oidc: {issuer: "${issuer.url}", audience: "https://versions.example.com", claims: {repository_owner_id: 42}}}
  - {name: jenkins, tokens: [{value: ${secret}}]}
rules:
  - {name: own, callers: [jobs], images: ["ghcr.io/\${repository}/**"]}
  - {name: every, callers: [jenkins], images: ["ghcr.io/**"]}
`);
  const [api, hubRepository] = await start(sandbox, ['--github-only'], {}, /GITHUB_API_URL=(\S+)[^]*git -C (\S+) log/);
  repository = hubRepository;
  const [address] = await start(service, [], {
    GITHUB_API_URL: api, GITHUB_TOKEN: 'sandbox', GITHUB_REPOSITORY: 'refty-yapi/refty-infra-test', GITHUB_BRANCH: 'main',
    CONFIG_FILE: config, DATA_DIR: join(scratch, 'data'), LOG_FORMAT: 'json',
  }, /"addr(?:ess)?":"(127\.0\.0\.1:\d+)"/);
  const here = (text) => text.replaceAll('https://versions.example.com', `http://${address}`).replaceAll('http://versions-service.default.svc', `http://${address}`);

  // GitHub Actions: the job's own token, and no secret.
  const github = parse(only(blocks('yaml', 'uses: refty-yapi/refty-node-versions-service'), 'GitHub Actions'));
  const step = github.steps.at(-1);
  assert.equal(github.permissions['id-token'], 'write');
  const inputs = Object.fromEntries(Object.entries(step.with).map(([key, value]) => [key, here(evaluate(value, { 'github.sha': '05-06-42a252' }))]));
  const job = {
    GITHUB_ACTIONS: 'true', GITHUB_RUN_ID: '17', GITHUB_RUN_ATTEMPT: '1', GITHUB_JOB: 'deploy', GITHUB_REPOSITORY: 'octo-org/web', GITHUB_SHA: '42a252d',
    ACTIONS_ID_TOKEN_REQUEST_URL: `${issuer.url}/token?api-version=2.0`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: issuer.requestToken,
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
  const gitlab = Object.values(parse(only(blocks('yaml', 'id_tokens:'), 'GitLab CI')))[0];
  const [[variable, { aud }]] = Object.entries(gitlab.id_tokens);
  const expand = (text) => text.replace(/\$(\w+)/g, (_, key) => ({ CI_REGISTRY_IMAGE: image, CI_COMMIT_SHA: '05-06-42a253' })[key]);
  const variables = Object.fromEntries(Object.entries(gitlab.variables).map(([key, value]) => [key, here(expand(value))]));
  execFileSync('cp', [join(root, '.github/set-version.sh'), scratch]);
  await run('GitLab CI', ['bash', '-eo', 'pipefail', '-c', [gitlab.script].flat().join('\n')], { ...variables, CI_JOB_ID: '99', [variable]: issuer.token(aud) });
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
  children.forEach((child) => child.kill());
  issuer.close();
  rmSync(scratch, { recursive: true, force: true });
}
process.exit();
