// One recorded generation: its passes, when each came, and what can be said of any moment. Knows
// nothing of the page.
import {uncommitted} from './trace.mjs';

const NOMINAL_MS = 10;  // between the passes of a trace that does not know its times

export class Lane {
  /** `mode`: what was asked for, until a header says it. */
  constructor(mode) {
    this.mode = mode;
    this.header = null;
    this.passes = [];
    this.times = [];      // of passes, ms since the first one
    this.running = true;  // more passes may come
  }

  static ofTrace({header, passes}) {
    const lane = new Lane(header.mode);
    lane.header = header;
    lane.running = false;
    passes.forEach((pass) => lane.add(pass));
    return lane;
  }

  /** The next pass. It has its time from the server, which knows it better than who waits for it. */
  add(pass) {
    const first = this.passes[0] ?? pass;
    const time = pass.ms === undefined ? this.passes.length * NOMINAL_MS : pass.ms - first.ms;
    this.passes.push(pass);
    this.times.push(Math.max(time, this.end));
  }

  /** The times were measured. `evo generate --trace` writes none. */
  get timed() {
    return this.passes.length > 0 && this.passes.every((pass) => pass.ms !== undefined);
  }

  /** ms from the first pass to the last. */
  get end() {
    return this.times.at(-1) ?? 0;
  }

  /** Passes that had come by the time `at` in ms. */
  countAt(at) {
    let count = this.times.length;
    while (count > 0 && this.times[count - 1] > at) --count;
    return count;
  }
}

/**
 * What the text is after `count` passes: settled tokens {text, pass, together, draft}, where `draft`
 * is what was known of the token before it was settled, if anything; and the tokens that evolve.
 */
export function textAfter(lane, count) {
  const settled = [];
  let certain = '';
  for (let i = 0; i < count; ++i) {
    const pass = lane.passes[i];
    certain += pass.text;
    pass.committed_texts.forEach((text, k) => settled.push({
      text,
      pass: pass.pass,
      together: pass.committed_texts.length,
      draft: draftOf(lane, i, k),
    }));
  }
  joinCharacters(settled, certain);
  const evolving = count > 0 ? uncommitted(lane.header, lane.passes[count - 1]) : [];
  return {settled, evolving};
}

/** In diffusion mode a pass says itself what it settles; else it judges the drafts of the last. */
export function draftOf(lane, pass, k) {
  if (lane.header.mode === 'diffusion') return lane.passes[pass].tokens[k];
  return k < lane.passes[pass].accepted ? lane.passes[pass - 1]?.tokens[k] : undefined;
}

/**
 * A token may be a part of a character, which alone cannot be shown. The first of such tokens gets
 * what they are together, as far as `certain`, the text itself, has it already.
 */
function joinCharacters(tokens, certain) {
  const broken = (i) => i < tokens.length && tokens[i].text.includes('\uFFFD');
  let at = 0;
  for (let i = 0; i < tokens.length; ++i) {
    if (!broken(i)) {
      at += tokens[i].text.length;
      continue;
    }
    let next = i + 1;
    while (broken(next)) ++next;
    const end = next < tokens.length ? certain.indexOf(tokens[next].text, at + 1) : certain.length;
    if (end <= at) return;
    tokens[i].text = certain.slice(at, end);
    for (let k = i + 1; k < next; ++k) tokens[k].text = '';
    at = end;
    i = next - 1;
  }
}

/** Tokens, passes, tokens per pass and per second (null: not known) of the first `count` passes. */
export function measuresOf(lane, count) {
  const committed = (pass) => pass.committed_texts.length;
  const tokens = lane.passes.slice(0, count).reduce((sum, pass) => sum + committed(pass), 0);
  // Until the first pass the prompt is read, which says nothing of the speed of writing.
  const seconds = count > 1 ? lane.times[count - 1] / 1000 : 0;
  return {
    tokens,
    passes: count,
    perPass: count > 0 ? tokens / count : 0,
    perSecond: lane.timed && seconds > 0 ? (tokens - committed(lane.passes[0])) / seconds : null,
  };
}

/** How many tokens two lanes begin with in common, and whether that is all of both. */
export function agreement(one, other) {
  const ids = (lane) => lane.passes.flatMap((pass) => pass.committed);
  const a = ids(one), b = ids(other);
  let common = 0;
  while (common < a.length && common < b.length && a[common] === b[common]) ++common;
  return {common, identical: common === a.length && common === b.length};
}

/** What two finished lanes teach, in a sentence; `rival` is the autoregressive one. */
export function verdict(lane, rival) {
  const a = measuresOf(lane, lane.passes.length), b = measuresOf(rival, rival.passes.length);
  if (a.tokens === 0 || b.tokens === 0) return '';
  const {common, identical} = agreement(lane, rival);
  const speed = a.perSecond && b.perSecond ?
      `, at ${(a.perSecond / b.perSecond).toFixed(2)} times its speed` : '';
  const passes = `${a.passes} passes for ${a.tokens} tokens; ar took ${b.passes} for ${b.tokens}`;
  return identical ?
      `Word for word the same text: ${lane.mode} took ${passes}${speed}.` :
      `${lane.mode} took ${passes}${speed}. The texts part after ${common} tokens.`;
}

/** 0 noise .. 1 settled: by progression time where tokens evolve in it, else by maturity. */
export function settledness(header, token) {
  const value = header.mode === 'diffusion' ? 1 - token.t : token.maturity;
  return Math.min(1, Math.max(0, value));
}

export const SHADES = 9;

/** The number of the colour of a token, 0 for noise. */
export function shadeOf(header, token) {
  return Math.min(SHADES - 1, Math.floor(settledness(header, token) * SHADES));
}
