// What the page asks the server for, and what can go wrong with it, in words.

const KEY = 'evo-api-key';

/** A fault as people are told of it: what happened and what to do. */
export class Problem extends Error {
  constructor(message, {status = 0, param = null} = {}) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

/** The server's key, if it asks for one: kept until the tab is closed. */
export const key = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (value) => sessionStorage.setItem(KEY, value),
};

/** The model that is served: its name, and the temperature that its files ask for, if they do. */
export async function model() {
  const response = await ask('v1/models', {});
  const {id, sampling} = (await response.json()).data[0];
  return {name: id, temperature: sampling?.temperature};
}

/**
 * Asks for a completion as a stream; calls onEvents(events) with the events that arrived together.
 * Returns what the server warns of, or ''. Throws Problem, or AbortError if `signal` says so.
 */
export async function complete(body, {signal, onEvents}) {
  const response = await ask('v1/completions', {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(body),
    signal,
  });
  await readEvents(response.body, onEvents).catch((error) => {
    throw error instanceof TypeError ? dropped() : error;
  });
  return response.headers.get('X-Evo-Warning') ?? '';
}

/** Reads server-sent events to their end. Throws Problem if one is an error, or the end is missing. */
export async function readEvents(stream, onEvents) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) throw dropped();
    const parts = (rest + decoder.decode(value, {stream: true})).split('\n\n');
    rest = parts.pop();
    const ended = parts.includes('data: [DONE]');
    const events = parts.filter((part) => part.startsWith('data: {'))
                       .map((part) => JSON.parse(part.slice('data: '.length)));
    const fault = events.find((event) => event.error);
    onEvents(events.filter((event) => !event.error));
    if (fault) throw new Problem(sentence(fault.error.message));
    if (ended) return;
  }
}

async function ask(address, options) {
  const headers = {...options.headers};
  if (key.get() !== '') headers.Authorization = `Bearer ${key.get()}`;
  const response = await fetch(address, {...options, headers}).catch((error) => {
    if (error.name === 'AbortError') throw error;
    throw new Problem('The server does not answer. Is “evo serve” still running? Start it again, ' +
                      'then press Generate.');
  });
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const {error = {}} = await response.json().catch(() => ({}));
  const {message = response.statusText, param = null} = error;
  return new Problem(inWords(response.status, message), {status: response.status, param});
}

export function inWords(status, message) {
  switch (status) {
    case 401:
      return 'This server asks for a key. Enter it below; it is kept until you close this tab.';
    case 429:
      return 'The server is busy and its queue is full. Wait a moment, then press Generate again.';
    case 503:
      return `The server cannot take this now: ${sentence(message)} Try again in a few seconds.`;
    default:
      return status >= 500 ?
          `Something went wrong in the server: ${sentence(message)} Its log says more.` :
          `The server refused this: ${sentence(message)} Change it, then press Generate again.`;
  }
}

function dropped() {
  return new Problem('The connection broke before the text was complete. What came stays here; ' +
                     'press Generate to begin again.');
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
