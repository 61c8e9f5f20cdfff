// The page's modules that know nothing of a page.
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {inWords, readEvents} from '../../web/api.mjs';
import {agreement, draftOf, Lane, measuresOf, shadeOf, textAfter, verdict} from '../../web/lane.mjs';
import {Player} from '../../web/player.mjs';
import {balanceOfMode, fromFragment, modeOfBalance, parseNumber, setUsual, toFragment, toRequest,
        usualSettings} from '../../web/settings.mjs';
import {parseTrace, traceText} from '../../web/trace.mjs';

const bytes = (text) => new TextEncoder().encode(text);

function draft(position, text, more = {}) {
  return {position, token: position, text, t: 1, entropy: 0.5, maturity: 0.5, top: [position],
          top_texts: [text], z2: [0, 0], ...more};
}

function pass(number, texts, more = {}) {
  return {pass: number, text: texts.join(''), committed: texts.map((_, i) => 10 * number + i),
          committed_texts: texts, drafted: 0, accepted: 0, rows: 1, tokens: [], ...more};
}

function trace(mode, passes) {
  const header = {format: 'evo-trace', version: 1, mode, balance: 0, seed: '1', prompt: 'P',
                  suffix: '', first_position: 5, code_size: 16};
  return {header, passes};
}

const exact = () => Lane.ofTrace(trace('exact', [
  pass(0, ['a'], {ms: 100, tokens: [draft(6, 'b'), draft(7, 'x')]}),
  pass(1, ['b', 'c'], {ms: 200, drafted: 2, accepted: 1, tokens: [draft(8, 'd')]}),
  pass(2, ['d', 'e'], {ms: 300, drafted: 1, accepted: 1}),
]));

test('settings come back from an address', () => {
  const settings = {...usualSettings(), prompt: 'A & b = #ü\n', mode: 'evo', balance: 0.3, seed: 77,
                    temperature: 0, race: false};
  assert.deepEqual(fromFragment(toFragment(settings)), {settings, run: false});
  assert.equal(fromFragment(toFragment(settings, true)).run, true);
});

test('an address that is wrong is as usual', () => {
  assert.deepEqual(fromFragment('mode=best&seed=-1&temperature=hot&max_tokens=1.5&window=').settings,
                   {...usualSettings(), balance: 0});
  assert.equal(fromFragment('mode=exact&balance=0.7').settings.balance, 0);
});

test('what a model asks for is usual, and an address may say otherwise', () => {
  const {temperature} = usualSettings();
  setUsual('temperature', 0.2);
  assert.equal(fromFragment('mode=ar').settings.temperature, 0.2);
  assert.equal(fromFragment('temperature=0.9').settings.temperature, 0.9);
  setUsual('temperature', temperature);
});

test('numbers keep to their range', () => {
  assert.equal(parseNumber('seed', ' 12 '), 12);
  for (const text of ['', 'x', '-1', '1.5', '1e99', 'NaN']) {
    assert.equal(parseNumber('seed', text), undefined, text);
  }
  assert.equal(parseNumber('temperature', '0.5'), 0.5);
});

test('mode and balance agree', () => {
  for (const mode of ['exact', 'evo', 'diffusion']) {
    assert.equal(modeOfBalance(balanceOfMode(mode, 0.4)), mode);
  }
  assert.equal(balanceOfMode('evo', 0.4), 0.4);
  assert.equal(balanceOfMode('evo', 1), 0.5);
});

test('a request says no more than its mode knows', () => {
  const settings = usualSettings();
  assert.equal('balance' in toRequest(settings, 'exact'), false);
  assert.equal(toRequest({...settings, balance: 0.2}, 'evo').balance, 0.2);
  assert.equal(toRequest(settings, 'diffusion').steps, 4);
  assert.equal('window' in toRequest(settings, 'ar'), false);
});

test('the text of every moment', () => {
  const lane = exact();
  assert.deepEqual(textAfter(lane, 0), {settled: [], evolving: []});
  const {settled, evolving} = textAfter(lane, 2);
  assert.deepEqual(settled.map((token) => token.text), ['a', 'b', 'c']);
  assert.deepEqual(settled.map((token) => token.pass), [0, 1, 1]);
  assert.deepEqual(settled.map((token) => token.draft?.text), [undefined, 'b', undefined]);
  assert.deepEqual(evolving.map((token) => token.text), ['d']);
});

test('a pass of diffusion names first what it settles', () => {
  const lane = Lane.ofTrace(trace('diffusion', [
    pass(0, [], {tokens: [draft(5, 'a', {t: 0.1}), draft(6, 'y')]}),
    pass(1, ['a', 'b'], {tokens: [draft(5, 'a'), draft(6, 'b'), draft(7, 'z', {t: 1})]}),
  ]));
  assert.deepEqual(textAfter(lane, 2).evolving.map((token) => token.text), ['z']);
  assert.equal(draftOf(lane, 1, 1).text, 'b');
  assert.equal(shadeOf(lane.header, draft(5, 'a', {t: 1, maturity: 1})), 0);
  assert.equal(shadeOf(lane.header, draft(5, 'a', {t: 0, maturity: 0})), 8);
});

test('parts of a character become one', () => {
  const lane = Lane.ofTrace(trace('ar', [
    pass(0, ['a']), pass(1, ['\uFFFD'], {text: ''}), pass(2, ['\uFFFD'], {text: 'é'}), pass(3, [' b']),
  ]));
  assert.deepEqual(textAfter(lane, 2).settled.map((token) => token.text), ['a', '\uFFFD']);
  assert.deepEqual(textAfter(lane, 4).settled.map((token) => token.text), ['a', 'é', '', ' b']);
});

test('measures are those of the passes after the first', () => {
  const {tokens, passes, perPass, perSecond} = measuresOf(exact(), 3);
  assert.deepEqual({tokens, passes}, {tokens: 5, passes: 3});
  assert.ok(Math.abs(perPass - 5 / 3) < 1e-12);
  assert.ok(Math.abs(perSecond - 4 / 0.2) < 1e-9);  // 4 tokens in 200 ms
  assert.equal(measuresOf(exact(), 1).perSecond, null);
  assert.equal(measuresOf(Lane.ofTrace(trace('ar', [pass(0, ['a']), pass(1, ['b'])])), 2).perSecond, null);
});

test('two lanes are compared word for word', () => {
  assert.deepEqual(agreement(exact(), exact()), {common: 5, identical: true});
  const other = exact();
  other.passes[1].committed = [10, 99];
  assert.deepEqual(agreement(exact(), other), {common: 2, identical: false});
  other.passes.pop();
  assert.equal(agreement(other, other).identical, true);
  const shorter = exact();
  shorter.passes.pop();
  assert.equal(agreement(shorter, exact()).identical, false);
  assert.equal(agreement(exact(), shorter).identical, false);
  assert.match(verdict(exact(), exact()), /^Word for word the same text.*1\.00 times/);
  assert.match(verdict(exact(), other), /part after 2 tokens/);
});

test('a saved trace is read again', () => {
  const saved = trace('exact', exact().passes);
  assert.deepEqual(parseTrace(bytes(traceText(saved)), 'x.jsonl'), saved);
});

test('what is no trace is refused in words', () => {
  const refused = (data, words) => assert.throws(() => parseTrace(data, 'x'), {message: words});
  refused(new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 1]), /zstd -d/);
  refused(bytes(''), /not a trace/);
  refused(bytes('{"a": 1}\n'), /not a trace/);
  refused(bytes('{"format": "evo-trace", "ver'), /line 1: .*cut short/);
  refused(bytes('{"format": "evo-trace", "version": 2}\n'), /version 2/);
  refused(bytes('{"format": "evo-trace", "version": 1}\n{}\n'), /line 2: .*damaged/);
});

/** A stream of these pieces. */
function streamOf(...pieces) {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(typeof piece === 'string' ? bytes(piece) : piece);
      controller.close();
    },
  });
}

async function eventsOf(...pieces) {
  const events = [];
  await readEvents(streamOf(...pieces), (some) => events.push(...some));
  return events;
}

test('events are read however they are cut', async () => {
  const text = 'data: {"a":"ü"}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n';
  for (let cut = 1; cut < bytes(text).length; ++cut) {
    const events = await eventsOf(bytes(text).slice(0, cut), bytes(text).slice(cut));
    assert.deepEqual(events, [{a: 'ü'}, {b: 2}], `cut at ${cut}`);
  }
});

test('a stream that ends early, or with an error, is a problem', async () => {
  await assert.rejects(eventsOf('data: {"a":1}\n\n'), /connection broke/);
  await assert.rejects(eventsOf('data: {"error":{"message":"too slow"}}\n\n'), /too slow\./);
});

test('faults are told in words', () => {
  assert.match(inWords(401, ''), /key/);
  assert.match(inWords(429, ''), /busy/);
  assert.match(inWords(503, 'shutting down'), /shutting down\. Try again/);
  assert.match(inWords(500, 'oh'), /in the server: oh\./);
  assert.match(inWords(400, 'seed: no'), /refused this: seed: no\./);
});

/** A player whose pictures are asked for by hand. */
function playerOf(...lanes) {
  let next = null, time = 0;
  const player = new Player(() => {}, (f) => { next = f; });
  player.start(lanes);
  const frames = (count, ms) => {
    for (let i = 0; i < count && next !== null; ++i) {
      const frame = next;
      next = null;
      frame(time);
      time += ms;
    }
  };
  return {player, frames};
}

test('lanes play on one clock, as slowly as asked for', () => {
  const {player, frames} = playerOf(exact());
  player.limit = 5;  // of 10 passes a second
  frames(3, 50);     // the first picture only starts the clock
  assert.equal(player.rate, 0.5);
  assert.equal(player.clock, 50);
  frames(100, 50);
  assert.equal(player.clock, 200);
  assert.equal(player.playing, false);
});

test('the player waits for a lane that grows', () => {
  const lane = exact();
  lane.running = true;
  const {player, frames} = playerOf(lane);
  frames(50, 50);
  assert.equal(player.clock, 200);
  assert.equal(player.playing, true);
  lane.add(pass(3, ['f'], {ms: 400}));
  lane.running = false;
  frames(50, 50);
  assert.equal(player.clock, 300);
  assert.equal(player.playing, false);
});

test('a lane counts the passes that had come', () => {
  const lane = exact();
  assert.deepEqual([0, 99, 100, 250].map((at) => lane.countAt(at)), [1, 1, 2, 3]);
});
