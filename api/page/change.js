// The dialog that every change goes through: say what, see the plan, then write.
import { grouped, hold as makeHold, references, rollBack, setVersion } from './client.js';
import { code, count, h, say } from './dom.js';
import { changes, place, problem, result } from './parts.js';

// open shows a dialog and takes it out of the page when it closes.
function open(title, ...content) {
  const dialog = h('dialog', { class: 'change', 'aria-labelledby': 'change-title' },
    h('div', { class: 'head' },
      h('h2', { id: 'change-title' }, title),
      h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', onclick: () => dialog.close() }, '✕')),
    ...content);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// plan shows fields, then what they would change, then the button that does it.
// request turns the fields into a body; send sends it; verb is the last button.
export function plan({ title, intro, fields, request, send, verb = 'Commit', done }) {
  const shown = h('div', { class: 'plan', 'aria-live': 'polite' });
  let key = '';
  const form = h('form', { onsubmit: look }, intro ?? null, fields,
    h('p', { class: 'actions' }, h('button', { class: 'primary' }, 'Show the plan')));
  const dialog = open(title, form, shown);
  if (!fields.length) form.requestSubmit();

  async function busy(button, text, work) {
    const before = button.textContent;
    button.disabled = true;
    button.textContent = text;
    try {
      await work();
    } catch (error) {
      shown.replaceChildren(problem(error));
    } finally {
      button.disabled = false;
      button.textContent = before;
    }
  }

  function look(event) {
    event.preventDefault();
    const body = request(new FormData(form));
    key = newKey();
    return busy(form.querySelector('button.primary'), 'Reading the branch…', async () => {
      const answer = await send({ ...body, dry_run: true });
      const n = changes(answer);
      const refused = answer.targets.some((t) => t.problem);
      const go = h('button', { type: 'button', class: 'primary', onclick: () => write(go, body) }, verb);
      shown.replaceChildren(
        h('p', { class: 'summary' }, n ? `${count(n, 'reference')} would change.` : 'Nothing would change: each place has this version, or is left alone.'),
        result(answer),
        n && !refused ? h('p', { class: 'actions' }, go) : '');
      say(n ? `${count(n, 'reference')} would change` : 'Nothing would change');
      form.hidden = !fields.length;
      shown.scrollIntoView();
      if (n && !refused) go.focus({ preventScroll: true });
    });
  }

  function write(button, body) {
    return busy(button, 'Writing…', async () => {
      const answer = await send(body, key);
      form.remove();
      shown.replaceChildren(result(answer), h('p', { class: 'actions' },
        h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, 'Done')));
      say(`Status: ${answer.status}`);
      shown.querySelector('button.primary').focus();
      done?.(answer);
    });
  }
}

// newKey is an Idempotency-Key: what is sent again after a lost answer is done once.
const newKey = () => crypto.randomUUID?.() ?? String(Math.random());

let fields = 0;

// field is a control with its label, and a hint that describes it.
export function field(label, control, hint) {
  if (!hint) return h('label', {}, label, control);
  const id = `hint-${++fields}`;
  control.setAttribute('aria-describedby', id);
  return h('div', {}, h('label', {}, label, control), h('small', { class: 'hint', id }, hint));
}

// targetsOf returns the targets among references, each once.
export function targetsOf(list) {
  return [...new Map(list.map((r) => [place(r), r])).values()];
}

// branchesOf joins targets that are parts of one branch: an update is narrowed to a branch.
function branchesOf(targets) {
  const branches = new Map();
  for (const t of targets) {
    const key = `${t.repository}@${t.branch}`;
    const names = [branches.get(key)?.name, place(t)].filter(Boolean).join(', ');
    branches.set(key, { name: names, repository: t.repository, branch: t.branch });
  }
  return [...branches.values()];
}

export const targetSelect = (targets, first, required = false) => h('select', { name: 'target', required },
  first === null ? null : h('option', { value: '' }, first), targets.map((t) => h('option', { value: place(t) }, place(t))));

// text takes what was filled in, and nothing else, into a body.
const text = (data, ...names) => Object.fromEntries(names.map((n) => [n, (data.get(n) ?? '').trim()]).filter(([, v]) => v));

// changeVersion asks for an image and a version.
export async function changeVersion({ image = '', version = '' }, done) {
  const { list } = image ? await references(image) : { list: [] };
  const names = image ? [] : (await grouped()).list.map((i) => i.name);
  const branches = branchesOf(targetsOf(list));
  const known = [...new Set(list.map((r) => r.version).filter(Boolean))];
  plan({
    title: 'Set a version',
    fields: [
      field('Image', h('input', { name: 'image', value: image, list: 'names', required: true, autofocus: !image, autocomplete: 'off', spellcheck: 'false' }), 'The repository name, without tag.'),
      h('datalist', { id: 'names' }, names.map((n) => h('option', { value: n }))),
      field('Version', h('input', { name: 'version', value: version, list: 'known', required: true, autofocus: Boolean(image), autocomplete: 'off', spellcheck: 'false' })),
      h('datalist', { id: 'known' }, known.map((v) => h('option', { value: v }))),
      branches.length > 1 ? field('Where', targetSelect(branches, 'Everywhere it is named')) : null,
      h('details', {}, h('summary', {}, 'Only some of the files'),
        field('Files', h('input', { name: 'paths', autocomplete: 'off', spellcheck: 'false' }), 'Globs such as apps/** or overlays/staging/**; empty: every file.')),
    ],
    request: (data) => {
      const branch = branches.find((b) => place(b) === data.get('target'));
      const paths = data.get('paths').split(/[\s,]+/).filter(Boolean);
      return { ...text(data, 'image', 'version'), ...(branch ? { repository: branch.repository, branch: branch.branch } : {}), ...(paths.length ? { paths } : {}) };
    },
    send: setVersion,
    done,
  });
}

// goBack asks to which version an image goes back.
export function goBack({ image, targets, to = '', target = '' }, done) {
  const select = targetSelect(targets, null);
  if (target) select.value = target;
  plan({
    title: 'Roll back',
    intro: h('p', {}, code(image)),
    fields: [
      targets.length > 1 ? field('Where', select) : null,
      field('To', h('input', { name: 'to', value: to, autofocus: true, autocomplete: 'off', spellcheck: 'false' }), 'Empty: the version before the present one.'),
      field('Why', h('input', { name: 'reason', autocomplete: 'off' })),
      h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'hold', checked: true }), ' Hold it there, so that the next push does not undo this'),
    ],
    request: (data) => ({ image, hold: data.has('hold'), ...text(data, 'to', 'reason', 'target') }),
    send: rollBack,
    verb: 'Roll back',
    done,
  });
}

// keep asks why an image is held.
export function keep({ image, targets }, done) {
  const shown = h('div', {});
  const sent = { text: '', key: '' };
  const form = h('form', {
    async onsubmit(event) {
      event.preventDefault();
      const body = { image, ...text(new FormData(form), 'target', 'reason', 'until') };
      if (body.until) body.until = new Date(body.until).toISOString();
      if (JSON.stringify(body) !== sent.text) Object.assign(sent, { text: JSON.stringify(body), key: newKey() });
      try {
        await makeHold(body, sent.key);
        dialog.close();
        say('The image is held');
        done?.();
      } catch (error) {
        shown.replaceChildren(problem(error));
      }
    },
  },
  h('p', {}, code(image), ' stays at its version while the hold stands, whoever asks.'),
  targets.length ? field('Where', targetSelect(targets, null)) : null,
  field('Why', h('input', { name: 'reason', required: true, autofocus: true, autocomplete: 'off' })),
  field('Until', h('input', { name: 'until', type: 'datetime-local' }), 'Empty: until it is released.'),
  h('p', { class: 'actions' }, h('button', { class: 'primary' }, 'Hold')));
  const dialog = open('Hold an image', form, shown);
}
