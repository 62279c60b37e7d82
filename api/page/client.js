// The service's HTTP interface. The token is kept here, in memory, and nowhere else.

let token = '';
let ask = null; // asks the person for a token and resolves with it

// onUnauthenticated says who asks for a token when the service wants one.
export function onUnauthenticated(f) {
  ask = f;
}

export const hasToken = () => token !== '';

export function forgetToken() {
  token = '';
}

// Problem is an answer of RFC 9457, or a service that did not answer.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `The service answered ${status}.`);
    this.status = status;
    this.code = body.code ?? '';
    this.errors = body.errors ?? [];
    this.reasons = body.reasons ?? [];
  }
}

async function once(method, path, body, key) {
  const headers = { Accept: 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  try {
    return await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem(0, { detail: 'The service does not answer. Is it still running?' });
  }
}

async function call(method, path, body, key) {
  let answer = await once(method, path, body, key);
  while (answer.status === 401 && ask) {
    const refused = token !== '';
    token = await ask(refused);
    if (!token) break;
    answer = await once(method, path, body, key);
  }
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

// query leaves out what is not set.
function query(path, values) {
  const set = Object.entries(values).filter(([, v]) => v !== undefined && v !== '' && v !== null);
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}

// all reads every page of a list.
async function all(path, values, field) {
  const list = [];
  let cursor;
  do {
    const page = await call('GET', query(path, { ...values, cursor }));
    list.push(...page[field]);
    cursor = page.next_cursor;
  } while (cursor && list.length < 5_000);
  return { list, more: Boolean(cursor) };
}

export const grouped = () => all('/v1/images', { group_by: 'image' }, 'images');
export const references = (image) => all('/v1/images', { image }, 'images');
export const history = (image, cursor) => call('GET', query('/v1/history', { image, limit: 20, cursor }));
export const updates = (values) => call('GET', query('/v1/updates', { limit: 30, ...values }));
export const update = (id) => call('GET', `/v1/updates/${encodeURIComponent(id)}`);
export const holds = () => call('GET', '/v1/holds');
export const retry = (id) => call('POST', `/v1/updates/${encodeURIComponent(id)}/retry`);
export const release = (id) => call('DELETE', `/v1/holds/${encodeURIComponent(id)}`);
export const hold = (body, key) => call('POST', '/v1/holds', body, key);
export const setVersion = (body, key) => call('POST', '/v1/updates', body, key);
export const rollBack = (body, key) => call('POST', '/v1/rollbacks', body, key);
export const promote = (body, key) => call('POST', '/v1/promotions', body, key);
