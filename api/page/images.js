// What runs where: every image, its versions, and where they differ.
import { grouped } from './client.js';
import { badge, code, count, h, imageHref, table } from './dom.js';
import { changeVersion } from './change.js';

const most = 500; // rows that are drawn at once

export async function imagesView() {
  const { list, more } = await grouped();
  if (!list.length) {
    return [h('h1', {}, 'Images'),
      h('p', { class: 'note' }, 'No manifest names an image yet. As soon as a YAML file of the branch does, it stands here.')];
  }
  const places = [...new Set(list.flatMap((i) => i.versions.flatMap((v) => v.targets)))];
  const drifting = list.filter((i) => i.drift).length;
  const body = h('div', {});
  const search = h('input', { id: 'search', type: 'search', placeholder: 'nginx, octo-org/web, 1.4.0…', 'aria-label': 'Search images and versions', oninput: draw });
  const only = h('input', { type: 'checkbox', onchange: draw });

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = list.filter((i) => (!only.checked || i.drift)
      && words.every((w) => i.name.includes(w) || i.versions.some((v) => v.version.toLowerCase().includes(w))));
    body.replaceChildren(hits.length
      ? table('Images and their versions', ['Image', 'Versions', 'References', 'Action'], hits.slice(0, most).map((i) => row(i, places.length > 1)))
      : h('p', { class: 'note' }, 'Nothing fits.'),
    hits.length > most || more ? h('p', { class: 'note' }, `The first ${Math.min(most, hits.length)} of ${more ? 'very many' : hits.length}: search for the rest.`) : '');
  }
  draw();

  return [
    h('h1', {}, 'Images'),
    h('p', { class: 'lead' }, 'The manifests of ', places.length > 3 ? count(places.length, 'target') : h('strong', {}, places.join(', ')),
      ` name ${count(list.length, 'image')}, read from GitHub just now. `,
      'Set a version, see the diff first, and one commit changes every file that names the image.'),
    h('div', { class: 'filter' }, search,
      h('label', { class: 'check' }, only, ` Only drift (${drifting})`)),
    body,
  ];
}

// row shows an image, and its targets where there are several.
function row(image, several) {
  const references = image.versions.reduce((n, v) => n + v.references, 0);
  return [
    h('a', { href: imageHref(image.name), class: 'image' }, image.name),
    h('ul', { class: 'versions' }, image.versions.map((v) => h('li', {},
      code(v.version || 'no tag'), several ? h('small', {}, v.targets.join(', ')) : null)),
    image.drift ? h('li', {}, badge('drift')) : null),
    String(references),
    h('button', { type: 'button', class: 'quiet', 'aria-label': `Set version of ${image.name}`, onclick: () => changeVersion({ image: image.name }, changed) }, 'Set version'),
  ];
}

const changed = () => dispatchEvent(new Event('changed'));
