// Which view is shown, and what stands around it.
import { forgetToken, hasToken, onUnauthenticated } from './client.js';
import { changeVersion } from './change.js';
import { h, say } from './dom.js';
import { holdsView } from './holds.js';
import { imageView } from './image.js';
import { imagesView } from './images.js';
import { problem } from './parts.js';
import { promoteView } from './promote.js';
import { updatesView } from './updates.js';

const main = document.getElementById('main');

const routes = [
  [/^#\/image\/(.+)$/, 'Image', ([, name]) => imageView(decodeURIComponent(name))],
  [/^#\/updates(?:\/(.+))?$/, 'Updates', ([, id]) => updatesView(id && decodeURIComponent(id))],
  [/^#\/holds$/, 'Holds', () => holdsView()],
  [/^#\/promote$/, 'Promote', () => promoteView()],
  [/^(?:#\/?)?$/, 'Images', () => imagesView()],
];

let shown = 0; // a slow view must not replace the one that came after it

async function show(focus = false) {
  const mine = ++shown;
  const hash = location.hash;
  const [match, title, view] = routes.map(([pattern, ...rest]) => [hash.match(pattern), ...rest]).find(([m]) => m)
    ?? [[], 'Not found', () => [h('h1', {}, 'Not found'), h('p', {}, 'There is no such view. ', h('a', { href: '#/' }, 'See the images'), '.')]];
  for (const a of document.querySelectorAll('nav a')) {
    const here = a.hash === '#/' ? title === 'Images' || title === 'Image' : hash.startsWith(a.hash);
    if (here) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  main.setAttribute('aria-busy', 'true');
  let content;
  try {
    content = await view(match);
  } catch (error) {
    content = [h('h1', {}, title), problem(error), h('p', {}, h('button', { type: 'button', onclick: () => show(true) }, 'Try again'))];
  }
  if (mine !== shown) return;
  main.replaceChildren(...[content].flat(Infinity));
  main.removeAttribute('aria-busy');
  const heading = main.querySelector('h1')?.textContent ?? title;
  document.title = `${heading} – refty-node-versions-service`;
  if (focus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
    say(heading);
  }
}

// The token.
const dialog = document.getElementById('token-dialog');
const input = document.getElementById('token');
const tokenButton = document.getElementById('token-button');
let asked = null; // several calls at once ask once

onUnauthenticated((refused) => {
  asked ??= new Promise((resolve) => {
    const complaint = document.getElementById('token-problem');
    complaint.hidden = !refused;
    complaint.textContent = refused ? 'The service does not know that token.' : '';
    input.value = '';
    dialog.returnValue = '';
    dialog.addEventListener('close', () => {
      asked = null;
      const given = dialog.returnValue === 'given' ? input.value.trim() : '';
      input.value = '';
      resolve(given);
      tokenButton.hidden = given === '';
    }, { once: true });
    dialog.showModal();
    input.focus();
  });
  return asked;
});
dialog.querySelector('form').addEventListener('submit', (event) => {
  event.preventDefault();
  dialog.close('given');
});
dialog.querySelector('[data-close]').addEventListener('click', () => dialog.close());
tokenButton.textContent = 'Forget token';
tokenButton.addEventListener('click', () => {
  if (hasToken()) forgetToken();
  tokenButton.hidden = true;
  main.replaceChildren(h('h1', {}, 'Token forgotten'), h('p', {}, h('button', { type: 'button', onclick: () => show(true) }, 'Show the images again')));
});

document.getElementById('set-button').addEventListener('click', () => changeVersion({}, () => show()));
addEventListener('hashchange', () => show(true));
addEventListener('changed', () => show());
addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, textarea, select, dialog');
  if (event.key === '/' && !typing) {
    const search = document.getElementById('search');
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});
show();
