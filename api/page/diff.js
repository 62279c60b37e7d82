// A unified diff, coloured. The signs stay, so that nobody needs the colours.
import { h } from './dom.js';

const kinds = { '+': 'add', '-': 'del', '@': 'hunk' };

export function diff(text) {
  const files = [];
  for (const line of text.split('\n')) {
    const header = line.match(/^diff --git a\/.* b\/(.*)$/);
    if (header) {
      files.push({ path: header[1], lines: [], body: false });
      continue;
    }
    const file = files.at(-1);
    if (!file) continue;
    file.body ||= line.startsWith('@@');
    if (file.body && line !== '') file.lines.push(line);
  }
  return files.map(({ path, lines }) => h('figure', { class: 'diff' },
    h('figcaption', {}, path),
    h('pre', { tabindex: '0', 'aria-label': `Changes of ${path}` },
      lines.map((l) => h('span', { class: kinds[l[0]] ?? 'same' }, `${l}\n`)))));
}
