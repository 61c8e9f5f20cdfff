// The official client of OpenAI's API against `evo serve`.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';

import OpenAI from 'openai';

import {Served, until} from './server.mjs';

const PROMPT = 'Once upon a time, there was';
const MESSAGES = [{role: 'user', content: 'Tell me about a cat.'}];

let served, client, model;

const clientOf = (server, apiKey = 'none') =>
    new OpenAI({baseURL: `${server.url}/v1`, apiKey, maxRetries: 0});
const complete = (more) =>
    client.completions.create({model, prompt: PROMPT, max_tokens: 24, temperature: 0.8, seed: 5, ...more});
const chat = (more) =>
    client.chat.completions.create({model, messages: MESSAGES, max_tokens: 24, seed: 5, ...more});

before(async () => {
  served = await Served.start();
  client = clientOf(served);
  model = (await client.models.list()).data[0].id;
});
after(async () => assert.equal(await served.stop(), 0));

test('the model is listed', () => assert.match(model, /\S/));

test('a completion has its text, its end and its usage', async () => {
  const reply = await complete();
  assert.equal(reply.object, 'text_completion');
  assert.equal(reply.choices.length, 1);
  assert.ok(reply.choices[0].text.length > 0);
  assert.equal(reply.choices[0].finish_reason, 'length');
  assert.equal(reply.usage.completion_tokens, 24);
  assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + 24);
  assert.ok(reply.usage.evo.passes > 0 && reply.usage.evo.passes <= 24);
});

test('a seed gives its text again, another seed another one', async () => {
  const [first, again, other] =
      await Promise.all([complete(), complete(), complete({seed: 6})]);
  assert.equal(again.choices[0].text, first.choices[0].text);
  assert.notEqual(other.choices[0].text, first.choices[0].text);
});

test('exact mode writes what ar writes', async () => {
  const [exact, ar] = await Promise.all([complete({mode: 'exact'}), complete({mode: 'ar'})]);
  assert.equal(exact.choices[0].text, ar.choices[0].text);
});

test('a stream is the same text, in pieces, with usage at its end', async () => {
  const whole = await complete();
  const stream = await complete({stream: true, stream_options: {include_usage: true}});
  let text = '', usage = null, pieces = 0, finish = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
    ++pieces;
  }
  assert.equal(text, whole.choices[0].text);
  assert.equal(finish, 'length');
  assert.equal(usage.completion_tokens, 24);
  assert.ok(pieces > 2);
});

test('n texts differ, and each is that of its own seed', async () => {
  const three = await complete({n: 3});
  assert.deepEqual(three.choices.map((choice) => choice.index), [0, 1, 2]);
  assert.equal(new Set(three.choices.map((choice) => choice.text)).size, 3);
  const second = await complete({seed: 6});
  assert.equal(three.choices[1].text, second.choices[0].text);
});

test('a text ends before a stop string', async () => {
  const {choices: [{text}]} = await complete();
  const stop = text.slice(6, 10);
  const {choices: [cut]} = await complete({stop: [stop]});
  assert.equal(cut.text, text.slice(0, text.indexOf(stop)));
  assert.equal(cut.finish_reason, 'stop');
});

test('log probabilities of a completion tell where its tokens stand', async () => {
  const {choices: [{text, logprobs}]} = await complete({logprobs: 2});
  assert.equal(logprobs.tokens.length, 24);
  assert.equal(logprobs.token_logprobs.length, 24);
  for (const value of logprobs.token_logprobs) assert.ok(value <= 0);
  for (const top of logprobs.top_logprobs) assert.equal(Object.keys(top).length, 2);
  logprobs.tokens.forEach((token, i) => {
    const at = logprobs.text_offset[i];
    assert.equal(text.slice(at, at + token.length), token);
  });
});

test('log probabilities of a streamed completion go on where the last ones ended', async () => {
  const whole = await complete({logprobs: 0});
  const parts = {tokens: [], token_logprobs: [], text_offset: []};
  for await (const {choices: [choice]} of await complete({logprobs: 0, stream: true})) {
    for (const name in parts) parts[name].push(...(choice?.logprobs?.[name] ?? []));
  }
  for (const name in parts) assert.deepEqual(parts[name], whole.choices[0].logprobs[name]);
});

test('a conversation is answered, whole and as a stream', async () => {
  const whole = await chat();
  assert.equal(whole.choices[0].message.role, 'assistant');
  let text = '';
  for await (const chunk of await chat({stream: true})) {
    text += chunk.choices[0]?.delta?.content ?? '';
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.ok(text.length > 0);
});

test('log probabilities of a conversation have bytes and alternatives', async () => {
  const {choices: [{message, logprobs}]} = await chat({logprobs: true, top_logprobs: 3});
  assert.equal(logprobs.content.map((token) => token.token).join(''), message.content);
  for (const token of logprobs.content) {
    assert.equal(Buffer.from(token.bytes).toString(), token.token);
    assert.equal(token.top_logprobs.length, 3);
  }
});

test('a gap is filled by way of the same client', async () => {
  const body = {input_prefix: 'Once upon a time', input_suffix: ' The end.', max_tokens: 16, seed: 5};
  const reply = await client.post('/infill', {body});
  assert.ok(reply.usage.completion_tokens <= 16);
  assert.equal(typeof reply.choices[0].text, 'string');
});

test('errors have their types and say what is wrong', async (t) => {
  const refused = (promise, type, part) => assert.rejects(promise, (error) => {
    assert.ok(error instanceof type, `${error}`);
    assert.match(error.message, part);
    return true;
  });
  const {BadRequestError, NotFoundError} = OpenAI;
  await t.test('another model',
               () => refused(complete({model: 'gpt-4o'}), NotFoundError, /gpt-4o/));
  await t.test('a wrong type',
               () => refused(complete({max_tokens: 'many'}), BadRequestError, /max_tokens/));
  await t.test('a value out of range',
               () => refused(chat({temperature: -1}), BadRequestError, /temperature/));
  await t.test('a prompt that is too long',
               () => refused(complete({prompt: 'cat '.repeat(5000)}), BadRequestError, /prompt/));
});

test('the key is asked for', async () => {
  const locked = await Served.start('--api-key', 'secret');
  try {
    await assert.rejects(clientOf(locked, 'wrong').models.list(), OpenAI.AuthenticationError);
    assert.equal((await clientOf(locked, 'secret').models.list()).data.length, 1);
  } finally {
    await locked.kill();
  }
});

test('a stream that is given up ends in the server, which goes on', async () => {
  // One row per pass and very many passes: it cannot be over before it is given up.
  const slow = {max_tokens: 900, mode: 'diffusion', window: 1, steps: 4000};
  const stream = await complete({...slow, stream: true});
  await until(async () => await served.metric('evo_active_sequences') === 1, 'the text is being written');
  stream.controller.abort();
  await until(async () => await served.metric('evo_active_sequences') === 0, 'the text is given up');
  assert.equal((await complete()).usage.completion_tokens, 24);
});
