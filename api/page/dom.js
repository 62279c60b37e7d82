// Elements out of values. Text of a server only ever becomes text nodes and
// attributes, never markup.

// h returns an element. Properties that begin with "on" are listeners; true and
// false are attributes that are there or not; null and undefined are left out.
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

// table returns a table that a narrow window shows as cards: each cell carries
// its column's name.
export function table(caption, columns, rows) {
  return h('table', {},
    h('caption', { class: 'visually-hidden' }, caption),
    h('thead', {}, h('tr', {}, columns.map((c) => h('th', { scope: 'col' }, c === 'Action' ? h('span', { class: 'visually-hidden' }, c) : c)))),
    h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell, i) => h('td', { 'data-column': columns[i] }, cell))))));
}

// say tells a screen reader what happened.
export function say(text) {
  document.getElementById('live').textContent = text;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const units = [['day', 86_400], ['hour', 3_600], ['minute', 60]];

// when returns a time as people say it, with the exact one beside it.
export function when(text) {
  const at = new Date(text);
  const seconds = (at - Date.now()) / 1_000;
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1];
  const far = Math.abs(seconds) > 30 * 86_400;
  return h('time', { datetime: text, title: at.toLocaleString() },
    far ? at.toLocaleDateString() : relative.format(Math.round(seconds / size), unit));
}

// link returns a link out of this page, or the text alone where the URL is none of
// the web's.
export function link(url, ...children) {
  return /^https?:\/\//.test(url ?? '') ? h('a', { href: url, rel: 'noreferrer' }, ...children) : h('span', {}, ...children);
}

export const code = (text) => h('code', {}, text);

export const badge = (kind, text = kind) => h('span', { class: `badge ${kind.replaceAll(/[^a-z_]/g, '')}` }, text);

// count returns "1 file", "2 files".
export const count = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

export const imageHref = (name) => `#/image/${encodeURIComponent(name)}`;
