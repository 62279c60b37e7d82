// One image: where it stands, how it got there, and what can be done about it.
import { history, holds, references } from './client.js';
import { badge, code, count, h, link, table, when } from './dom.js';
import { changeVersion, goBack, keep, targetsOf } from './change.js';
import { met, place, problem } from './parts.js';

export async function imageView(name) {
  const [{ list }, held] = await Promise.all([references(name), heldNow(name)]);
  const current = list.filter((r) => r.state === 'current');
  const targets = targetsOf(current);
  const changed = () => dispatchEvent(new Event('changed'));
  const versions = new Set(current.map((r) => r.version));
  return [
    h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Images')),
    h('h1', { class: 'name' }, name, ' ', versions.size > 1 ? badge('drift') : null),
    h('p', { class: 'actions' },
      h('button', { type: 'button', class: 'primary', onclick: () => changeVersion({ image: name }, changed) }, 'Set a version'), ' ',
      h('button', { type: 'button', onclick: () => goBack({ image: name, targets }, changed) }, 'Roll back'), ' ',
      h('button', { type: 'button', onclick: () => keep({ image: name, targets }, changed) }, 'Hold')),
    met(held, (x) => ` in ${x.target}`),
    h('h2', {}, 'Where it stands'),
    list.length ? table('References', ['Target', 'File', 'Version', 'State'], list.map((r) => [
      place(r),
      h('span', { class: 'path', title: r.pointer }, code(`${r.path}:${r.line}`)),
      [code(r.version || 'no tag'), r.digest ? h('small', {}, r.digest.slice(0, 19), '…') : null],
      r.state === 'current' ? h('span', {}, 'kept up to date') : [badge('skipped', r.state.replaceAll('_', ' '))],
    ])) : h('p', { class: 'note' }, 'No file names this image.'),
    h('h2', {}, 'History'),
    past(name, current, changed),
  ];
}

// heldNow returns the holds on an image; while they cannot be read the rest is shown.
const heldNow = (name) => holds().then((all) => all.holds.filter((x) => x.image === name), () => []);

// past shows the history when it has been read, which takes longer than the rest.
function past(name, current, changed) {
  const list = h('ol', { class: 'history', reversed: true });
  const more = h('p', {}, 'Reading the branch’s history…');
  async function read(cursor) {
    try {
      const page = await history(name, cursor);
      list.append(...page.history.map((e) => entry(e, name, current, changed)));
      more.replaceChildren(...(page.next_cursor
        ? [h('button', { type: 'button', onclick: () => read(page.next_cursor) }, 'Older ones')]
        : [list.children.length ? `${count(list.children.length, 'change')} in all.` : 'No change is known.']));
    } catch (error) {
      more.replaceChildren(problem(error));
    }
  }
  read();
  return h('div', {}, list, more);
}

// entry is one change; a way back to it is offered where the target has another version.
// Who asked for it is believed of the service's own commits alone: anybody can write a trailer.
function entry(e, name, current, changed) {
  const there = current.some((r) => place(r) === e.target && r.version === e.version);
  return h('li', {},
    h('div', {}, h('strong', {}, code(e.version || e.digest?.slice(0, 19))), e.from ? [' from ', code(e.from)] : null, ' in ', e.target),
    h('div', { class: 'by' }, when(e.at), ' · ', link(e.commit.url, code(e.commit.sha.slice(0, 10))), ' · ', (e.recorded && e.requested_by) || e.author,
      e.recorded && e.source?.url ? [' · ', link(e.source.url, 'run')] : null,
      e.recorded ? null : [' · ', h('span', { title: 'The service’s own records do not hold this commit.' }, 'not recorded')]),
    there ? null : h('button', { type: 'button', class: 'quiet', 'aria-label': `Back to this: ${e.version} in ${e.target}`,
      onclick: () => goBack({ image: name, targets: targetsOf(current), to: e.version, target: e.target }, changed) }, 'Back to this'));
}
