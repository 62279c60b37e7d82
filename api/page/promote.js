// What one target has, another gets: the plan first, then one commit.
import { grouped, promote } from './client.js';
import { h } from './dom.js';
import { field, plan, targetSelect } from './change.js';

export async function promoteView() {
  const { list } = await grouped();
  const names = new Set(list.flatMap((i) => i.versions.flatMap((v) => v.targets)));
  const targets = [...names].sort().map((name) => ({ name }));
  if (targets.length < 2) {
    return [h('h1', {}, 'Promote'),
      h('p', { class: 'note' }, 'A promotion brings the versions of one target, such as staging, to another, such as production. This service has one target.')];
  }
  const from = targetSelect(targets, 'Choose a target', true);
  const to = targetSelect(targets, 'Choose a target', true);
  const images = h('input', { placeholder: 'every image', autocomplete: 'off', spellcheck: 'false' });
  const form = h('form', { onsubmit(event) {
    event.preventDefault();
    const globs = images.value.split(/[\s,]+/).filter(Boolean);
    plan({
      title: `${from.value} → ${to.value}`,
      fields: [],
      request: () => ({ from: from.value, to: to.value, ...(globs.length ? { images: globs } : {}) }),
      send: promote,
      done: () => dispatchEvent(new Event('changed')),
    });
  } },
  field('From', from), field('To', to),
  field('Images', images, 'Globs such as ghcr.io/octo-org/**; empty: all that both name.'),
  h('p', { class: 'actions' }, h('button', { class: 'primary' }, 'Show the plan')));
  return [h('h1', {}, 'Promote'),
    h('p', { class: 'lead' }, 'The target gets the versions and digests that the other one has, in one commit.'), form];
}
