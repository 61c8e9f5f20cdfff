// The form: reads it, fills it, and keeps mode and balance in agreement.
import {balanceOfMode, modeOfBalance, parseNumber, rangeInWords, toFragment} from './settings.mjs';

const ABOUT = {
  ar: 'Plain autoregression: one token per pass.',
  exact: 'Every draft is verified: the very text of ar, in fewer passes.',
  evo: 'Drafts that come close may stay: the higher the balance, the more of them.',
  diffusion: 'A window of tokens ripens together, and nothing is verified.',
};
const FIELDS = ['max_tokens', 'temperature', 'seed', 'window', 'steps'];

export class Form {
  /** `onRun()`: somebody wants to generate. */
  constructor(form, onRun) {
    this.form = form;
    this.fields = form.elements;
    this.lastBalance = 0.5;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      onRun();
    });
    for (const radio of this.fields.mode) radio.addEventListener('change', () => this.modeChosen());
    this.fields.balance.addEventListener('input', () => this.balanceChosen());
    this.fields.new_seed.addEventListener('click', () => {
      this.fields.seed.value = Math.floor(Math.random() * 1e6);
    });
    for (const name of FIELDS) {
      this.fields[name].addEventListener('input', () => this.check(name));
    }
  }

  fill(settings) {
    this.fields.prompt.value = settings.prompt;
    this.fields.mode.value = settings.mode;
    this.fields.balance.value = settings.balance;
    this.fields.race.checked = settings.race;
    for (const name of FIELDS) {
      this.fields[name].value = settings[name];
      this.check(name);
    }
    this.agree();
  }

  /** The settings, or null if a field must be changed first: then it is said beside it. */
  read() {
    const settings = {
      prompt: this.fields.prompt.value,
      mode: this.fields.mode.value,
      balance: Number(this.fields.balance.value),
      race: this.fields.race.checked,
    };
    for (const name of FIELDS) settings[name] = this.check(name);
    const wrong = FIELDS.find((name) => settings[name] === undefined);
    if (wrong === undefined) return settings;
    this.reveal(wrong);
    return null;
  }

  /** Leads to a field that is at fault. */
  reveal(name) {
    const field = this.fields[name];
    if (!(field instanceof HTMLElement)) return;
    const folded = field.closest('details');
    if (folded) folded.open = true;
    field.focus();
  }

  check(name) {
    const field = this.fields[name];
    const value = parseNumber(name, field.value);
    const note = document.getElementById(`${name}_fault`);
    note.textContent = value === undefined ? `Expected ${rangeInWords(name)}.` : '';
    field.setAttribute('aria-invalid', value === undefined);
    return value;
  }

  modeChosen() {
    const {mode, balance} = this.fields;
    if (mode.value !== 'ar') balance.value = balanceOfMode(mode.value, this.lastBalance);
    this.agree();
  }

  balanceChosen() {
    this.fields.mode.value = modeOfBalance(Number(this.fields.balance.value));
    this.agree();
  }

  agree() {
    const mode = this.fields.mode.value, balance = Number(this.fields.balance.value);
    if (mode === 'evo') this.lastBalance = balance;
    const said = mode === 'ar' ? 'none' : balance.toFixed(2);
    this.fields.balance.setAttribute('aria-valuetext', `${said}, ${mode}`);
    document.getElementById('balance_value').textContent = said;
    document.getElementById('mode_about').textContent = ABOUT[mode];
    this.form.dataset.mode = mode;
  }

  /** An address that brings these settings back, and runs them. */
  static link(settings) {
    return `${location.href.split('#')[0]}#${toFragment(settings, true)}`;
  }
}
