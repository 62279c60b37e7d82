// Pieces that several views show.
import { badge, code, count, h, link } from './dom.js';
import { diff } from './diff.js';

// problem shows what went wrong and what to do next.
export function problem(error) {
  const details = [...(error.errors ?? []).map((e) => `${e.pointer}: ${e.detail}`), ...(error.reasons ?? []).map((r) => (typeof r === 'string' ? r : JSON.stringify(r)))];
  return h('div', { class: 'problem', role: 'alert' },
    h('p', {}, error.code ? [code(error.code), ' '] : null, error.message),
    details.length ? h('ul', {}, details.map((d) => h('li', {}, d))) : null);
}

// place names where a target is.
export const place = (target) => target.target ?? target.name ?? `${target.repository}@${target.branch}`;

const short = (digest) => digest?.slice(0, 19);

// move shows a version's change.
export function move(change) {
  const digests = change.to_digest && change.to_digest !== change.from_digest ? ` (${short(change.to_digest)}…)` : '';
  return [change.image ? [code(change.image), ' '] : null, h('del', {}, change.from ?? change.from_digest ?? ''), ' → ', h('ins', {}, change.to ?? ''), digests];
}

const sentences = {
  committed: 'One commit is on the branch.',
  proposed: 'A pull request is open.',
  unchanged: 'Nothing to write.',
  superseded: 'A newer request won.',
  held: 'A hold keeps this image where it is.',
  queued: 'Stored; it will be done.',
};

// met says which holds stand in the way; where adds to each where it does.
export const met = (holds, where = () => '') => (holds ?? []).map((x) => h('p', { class: 'note' }, 'Held', where(x), x.by ? ` by ${x.by}` : '', x.reason ? `: ${x.reason}. ` : '. ',
  h('a', { href: '#/holds' }, 'See the holds')));

// remarks are what is worth knowing of a target beside its status.
const remarks = (target) => [
  ...(target.notes ?? []), ...(target.refused ?? []), target.merge_error,
  target.reason === 'pull_request_closed' ? 'Somebody closed the pull request of this version.' : null,
  target.merged_versions ? `Different versions of one file become one: ${target.merged_versions.join(', ')}.` : null,
].filter(Boolean).map((text) => h('p', { class: 'note' }, text));

// outcome shows what an update did, or would do, in one target.
function outcome(target, planned, several) {
  const files = target.files ?? [];
  const skipped = target.skipped ?? [];
  return h('section', { class: 'target' },
    h('h3', {}, place(target), ' ', badge(target.status)),
    planned || target.problem ? null : h('p', {}, sentences[target.status] ?? '',
      target.commit ? [' ', link(target.commit.url, code(target.commit.sha.slice(0, 12)))] : null,
      target.pull_request ? [' ', link(target.pull_request.url, `#${target.pull_request.number}`)] : null),
    met(target.holds, several ? (x) => ` (${x.image})` : undefined),
    remarks(target),
    target.problem ? h('p', { class: 'problem' }, code(target.problem.code), ' ', target.problem.detail) : null,
    target.diff ? diff(target.diff) : files.length ? h('ul', { class: 'files' }, files.map((f) =>
      f.changes.map((c) => h('li', {}, code(`${f.path}:${c.line}`), ' ', move(c))))) : null,
    skipped.length ? h('details', {}, h('summary', {}, `${count(skipped.length, 'place')} left alone`),
      h('ul', {}, skipped.map((s) => h('li', {}, code(s.line ? `${s.path}:${s.line}` : s.path), ' ', s.reason.replaceAll('_', ' '))))) : null);
}

// result shows the answer of an update, a rollback or a promotion.
export function result(answer) {
  const planned = answer.status === 'planned';
  const left = answer.left_out ?? [];
  return h('div', { class: 'result' },
    answer.targets.map((t) => outcome(t, planned, answer.images)),
    left.length ? h('details', {}, h('summary', {}, `${count(left.length, 'image')} left out`),
      h('ul', {}, left.map((l) => h('li', {}, code(l.image), ' ', l.reason.replaceAll('_', ' '))))) : null);
}

// changes counts what an answer would write.
export const changes = (answer) => answer.targets.reduce((n, t) => n + (t.files ?? []).reduce((m, f) => m + f.changes.length, 0), 0);
