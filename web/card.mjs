// The card beside a token: what the model knew of it. One for the page, on hover and on focus.

/** Blanks and line ends made visible. */
export function visible(text) {
  return text.replaceAll('\n', '↵').replaceAll(' ', '·') || '(part of a character)';
}

function line(tag, text, look = '') {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = look;
  return element;
}

export class Card {
  constructor(element) {
    this.element = element;
    this.anchor = null;
  }

  /** `describe(anchor)` says what is known: {lane, token, settled}, or null. */
  open(anchor, describe) {
    this.close();
    this.anchor = anchor;
    this.describe = describe;
    anchor.setAttribute('aria-describedby', this.element.id);
    this.refresh();
  }

  close() {
    this.anchor?.removeAttribute('aria-describedby');
    this.anchor = null;
    this.element.hidden = true;
  }

  /** What is known may have changed, and so may the place. */
  refresh() {
    const known = this.anchor?.isConnected ? this.describe(this.anchor) : null;
    if (known === null) return this.anchor && this.close();
    this.element.replaceChildren(...content(known));
    this.element.hidden = false;
    this.place();
  }

  place() {
    const GAP = 8;
    const at = this.anchor.getClientRects()[0] ?? this.anchor.getBoundingClientRect();
    const own = this.element.getBoundingClientRect();
    const left = Math.min(at.left, innerWidth - own.width - GAP);
    const fitsBelow = at.bottom + GAP + own.height <= innerHeight;
    const top = fitsBelow ? at.bottom + GAP : at.top - own.height - GAP;
    this.element.style.left = `${Math.max(GAP, left)}px`;
    this.element.style.top = `${Math.max(GAP, top)}px`;
  }
}

function content({token, settled}) {
  const title = line('strong', visible(token.text));
  if (!settled) return [title, line('span', 'still evolving'), ...knowledge(token)];
  const company = token.together > 1 ? `, one of ${token.together} tokens` : '';
  const how = [line('span', `written in pass ${token.pass}${company}`)];
  if (token.draft) how.push(line('span', 'what was known of it before:'), ...knowledge(token.draft));
  else how.push(line('span', 'chosen by the autoregressive model, without a draft'));
  return [title, ...how];
}

function knowledge(token) {
  const numbers = line('span', `t ${token.t.toFixed(2)}, maturity ${token.maturity.toFixed(2)}, ` +
                                   `entropy ${token.entropy.toFixed(2)} nats`, 'numbers');
  if (token.top_texts.length === 0) return [numbers];
  const list = document.createElement('ol');
  token.top_texts.forEach((text, i) => {
    list.append(line('li', visible(text), token.top[i] === token.token ? 'chosen' : ''));
  });
  return [numbers, line('span', 'likeliest, the best first:'), list];
}
