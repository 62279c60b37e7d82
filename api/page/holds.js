// What is held, by whom, and until when.
import { holds, release } from './client.js';
import { h, imageHref, say, table, when } from './dom.js';
import { problem } from './parts.js';

export async function holdsView() {
  const { holds: list } = await holds();
  const complaint = h('div', {});
  async function let_go(id) {
    try {
      await release(id);
      say('The hold is released');
      dispatchEvent(new Event('changed'));
    } catch (error) {
      complaint.replaceChildren(problem(error));
    }
  }
  return [
    h('h1', {}, 'Holds'),
    h('p', { class: 'lead' }, 'A held image keeps its version: updates and webhooks for it end as held, and change nothing.'),
    complaint,
    list.length ? table('Holds', ['Image', 'Target', 'Why', 'By', 'Until', 'Action'], list.map((x) => [
      h('a', { href: imageHref(x.image), class: 'image' }, x.image), x.target, x.reason || 'no reason given', [x.by, ' ', when(x.at)], x.until ? when(x.until) : 'it is released',
      h('button', { type: 'button', 'aria-label': `Release ${x.image} in ${x.target}`, onclick: () => let_go(x.id) }, 'Release'),
    ])) : h('p', { class: 'note' }, 'Nothing is held. A rollback holds its image by itself; an image’s page holds one without a rollback.'),
  ];
}
