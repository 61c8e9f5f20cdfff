// The settings of a run, as the form, the address and the server have them.

export const MODES = ['ar', 'exact', 'evo', 'diffusion'];

const PROMPT = 'Once upon a time, there was a little girl named Lily.';

/** What a setting may be; the first number is its default. */
const NUMBERS = {
  balance: {usual: 0.5, least: 0, most: 1},
  seed: {usual: 1, least: 0, most: Number.MAX_SAFE_INTEGER, whole: true},
  temperature: {usual: 0.5, least: 0, most: 100},
  max_tokens: {usual: 80, least: 1, most: 2 ** 31 - 1, whole: true},
  window: {usual: 0, least: 0, most: 1024, whole: true},
  steps: {usual: 4, least: 1, most: 4096, whole: true},
};

/** From now on a setting that is not said is this one. */
export function setUsual(name, value) {
  NUMBERS[name].usual = value;
}

export function usualSettings() {
  const settings = {prompt: PROMPT, mode: 'exact', race: true};
  for (const name in NUMBERS) settings[name] = NUMBERS[name].usual;
  return settings;
}

/** The number that a text says, or nothing if it is none that this setting can have. */
export function parseNumber(name, text) {
  const {least, most, whole} = NUMBERS[name];
  const value = text.trim() === '' ? NaN : Number(text);
  const fits = value >= least && value <= most && (!whole || Number.isInteger(value));
  return fits ? value : undefined;
}

/** What parseNumber takes, in words. */
export function rangeInWords(name) {
  const {least, most, whole} = NUMBERS[name];
  return `a ${whole ? 'whole number' : 'number'} from ${least} to ${most}`;
}

/** Mode and balance say the same thing in two ways: the ends of the balance have names. */
export function modeOfBalance(balance) {
  if (balance <= 0) return 'exact';
  return balance >= 1 ? 'diffusion' : 'evo';
}

/** The balance that goes with a mode; `last` is the one that was last chosen between the ends. */
export function balanceOfMode(mode, last) {
  if (mode === 'exact') return 0;
  if (mode === 'diffusion') return 1;
  return last > 0 && last < 1 ? last : NUMBERS.balance.usual;
}

/** Settings as the fragment of an address, without the #. `run`: whoever opens it starts the run. */
export function toFragment(settings, run = false) {
  const parts = new URLSearchParams({prompt: settings.prompt, mode: settings.mode});
  for (const name in NUMBERS) parts.set(name, settings[name]);
  parts.set('race', settings.race ? 1 : 0);
  if (run) parts.set('run', 1);
  return parts.toString();
}

/** The settings in a fragment; what it leaves out or has wrong is as usual. */
export function fromFragment(fragment) {
  const parts = new URLSearchParams(fragment);
  const settings = usualSettings();
  if (parts.has('prompt')) settings.prompt = parts.get('prompt');
  if (MODES.includes(parts.get('mode'))) settings.mode = parts.get('mode');
  for (const name in NUMBERS) {
    settings[name] = parseNumber(name, parts.get(name) ?? '') ?? settings[name];
  }
  // An address may contradict itself; the mode, which people read first, is right.
  settings.balance = balanceOfMode(settings.mode, settings.balance);
  if (parts.has('race')) settings.race = parts.get('race') !== '0';
  return {settings, run: parts.get('run') === '1'};
}

/** What the server is asked for. `mode` may be another than that of the settings. */
export function toRequest(settings, mode = settings.mode) {
  const request = {
    prompt: settings.prompt,
    max_tokens: settings.max_tokens,
    temperature: settings.temperature,
    seed: settings.seed,
    mode,
    stream: true,
    trace: true,
  };
  if (mode === 'evo') request.balance = settings.balance;
  if (mode === 'diffusion') request.steps = settings.steps;
  if (mode !== 'ar') request.window = settings.window;
  return request;
}
