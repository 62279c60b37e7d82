// The latest updates, and why the failed ones failed.
import { retry, update, updates } from './client.js';
import { badge, code, count, h, imageHref, say, when } from './dom.js';
import { place, problem, result } from './parts.js';

const statuses = ['queued', 'committed', 'proposed', 'unchanged', 'held', 'superseded', 'failed'];
let status = '';

export async function updatesView(id) {
  if (id) return one(id);
  const page = await updates({ status });
  const list = h('ul', { class: 'updates' }, page.updates.map(item));
  const more = h('p', {});
  function offer(cursor) {
    more.replaceChildren(...(cursor ? [h('button', { type: 'button', async onclick() {
      const next = await updates({ status, cursor });
      list.append(...next.updates.map(item));
      offer(next.next_cursor);
    } }, 'Older ones')] : []));
  }
  offer(page.next_cursor);
  const select = h('select', { onchange() {
    status = select.value;
    dispatchEvent(new Event('changed'));
  } }, h('option', { value: '' }, 'Every status'), statuses.map((s) => h('option', { value: s, selected: s === status }, s)));
  return [
    h('h1', {}, 'Updates'),
    h('p', { class: 'lead' }, 'What callers and webhooks asked for, the newest first, and why the failed ones failed.'),
    h('div', { class: 'filter' }, h('label', {}, h('span', { class: 'visually-hidden' }, 'Status'), select)),
    page.updates.length ? list : h('p', { class: 'note' }, 'No update yet. ', h('a', { href: '#/' }, 'Choose an image'), ' and set its version.'),
    more,
  ];
}

// where lists the targets of an update.
const where = (u) => (u.targets.length ? [' · ', u.targets.length > 3 ? count(u.targets.length, 'target') : u.targets.map(place).join(', ')] : null);

// what lists the images that an update moves.
const what = (u) => (u.images ?? [u]).map((i) => h('div', {}, h('a', { href: imageHref(i.image), class: 'image' }, i.image), ' ', code(i.version)));

const by = (u) => [when(u.created_at), ' · ', u.caller ?? (u.webhook ? `webhook ${u.webhook}` : 'somebody')];

function item(u) {
  const failed = u.status === 'failed' || u.last_error;
  return h('li', {},
    h('div', {}, badge(u.status), ' ', what(u)),
    h('div', { class: 'by' }, by(u), where(u), ' · ', h('a', { href: `#/updates/${encodeURIComponent(u.id)}`, 'aria-label': `Details of update ${u.id}` }, 'Details')),
    failed ? h('p', { class: 'problem' }, u.last_error ?? u.problem?.detail ?? u.targets.find((t) => t.problem)?.problem.detail ?? '') : null);
}

async function one(id) {
  const u = await update(id);
  const shown = h('div', {}, result(u));
  const again = h('button', { type: 'button', async onclick() {
    try {
      await retry(id);
      say('It is tried again');
      dispatchEvent(new Event('changed'));
    } catch (error) {
      shown.prepend(problem(error));
    }
  } }, 'Try again');
  return [
    h('p', { class: 'crumbs' }, h('a', { href: '#/updates' }, 'Updates')),
    h('h1', {}, 'Update ', badge(u.status)),
    what(u),
    h('p', { class: 'by' }, by(u), u.next_attempt_at ? [' · next attempt ', when(u.next_attempt_at)] : null),
    u.last_error && !u.targets.some((t) => t.problem) ? h('p', { class: 'problem' }, u.last_error) : null,
    shown,
    ['failed', 'held'].includes(u.status) ? h('p', { class: 'actions' }, again) : null,
  ].flat().filter(Boolean);
}
