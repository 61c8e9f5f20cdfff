// A lane's text as it forms, and its measures. Every generated token keeps its element from its first
// draft to the end, so that its colour changes where it stands.
import {measuresOf, shadeOf, textAfter} from './lane.mjs';

/** Setting what is there already would cost a layout, or begin a transition anew. */
function set(node, property, value) {
  if (node[property] !== value) node[property] = value;
}

export class LaneView {
  /** `element` is a copy of the lane's template; `card` shows what is known of a token. */
  constructor(element, card) {
    this.element = element;
    this.card = card;
    this.text = element.querySelector('.text');
    this.before = element.querySelector('.before');
    this.after = element.querySelector('.after');
    this.tokens = [];  // elements
    this.known = [];   // what each of them shows
    this.current = 0;  // the token that the Tab key reaches
    this.shown = -1;
    this.listen();
  }

  begin(lane) {
    this.lane = lane;
    this.introduced = false;
    this.introduce();
    this.show(0);
  }

  /** Says whose text it is; a lane that is being recorded gets its header after a while. */
  introduce() {
    const {mode, header} = this.lane;
    this.introduced = header !== null;
    this.before.textContent = header?.prompt ?? '';
    this.after.textContent = header?.suffix ?? '';
    const balance = mode === 'evo' && header ? ` ${header.balance}` : '';
    this.element.querySelector('h3').textContent = mode + balance;
    this.text.setAttribute('aria-label', `Text of ${mode}. Arrow keys walk through its tokens.`);
  }

  /** The state after `count` passes. */
  show(count) {
    if (count === this.shown) return;
    this.shown = count;
    if (this.lane.header && !this.introduced) this.introduce();
    const {settled, evolving} =
        this.lane.header ? textAfter(this.lane, count) : {settled: [], evolving: []};
    this.known = [...settled, ...evolving];
    this.known.forEach((token, i) => this.showToken(i, token, i < settled.length));
    while (this.tokens.length > this.known.length) this.tokens.pop().remove();
    this.settled = settled.length;
    this.card.refresh();
    this.measure(count);
  }

  showToken(i, token, settled) {
    if (i === this.tokens.length) this.text.insertBefore(this.make(i), this.after);
    const element = this.tokens[i], word = element.lastChild;
    // The blank before a word has no colour: at the end of a line it would stand alone.
    const [blank] = token.text.match(settled ? /^\s*/ : /^ ?/);
    const rest = token.text.slice(blank.length);
    set(element.firstChild, 'data', blank);
    set(word, 'textContent', settled ? rest : rest.replaceAll('\n', '↵') || '·');
    set(word, 'className', settled ? 'settled' : `s${shadeOf(this.lane.header, token)}`);
  }

  make(i) {
    const element = document.createElement('span');
    element.className = 'token';
    element.append('', document.createElement('span'));
    element.tabIndex = i === this.current ? 0 : -1;
    element.dataset.index = i;
    this.tokens.push(element);
    return element;
  }

  measure(count) {
    const {tokens, passes, perPass, perSecond} = measuresOf(this.lane, count);
    const texts = {
      perPass: passes > 0 ? perPass.toFixed(2) : '–',
      perSecond: perSecond === null ? '–' : Math.round(perSecond),
      tokens,
      passes,
    };
    for (const name in texts) {
      this.element.querySelector(`[data-measure=${name}]`).textContent = texts[name];
    }
  }

  /** What is known of the token of an element: for the card. */
  describe(element) {
    const i = Number(element.dataset.index);
    return i < this.known.length ?
        {lane: this.lane, token: this.known[i], settled: i < this.settled} : null;
  }

  listen() {
    const token = (event) => event.target.closest('.token');
    const describe = (element) => this.describe(element);
    this.text.addEventListener('pointerover', (event) => {
      if (token(event)) this.card.open(token(event), describe);
    });
    this.text.addEventListener('pointerleave', () => this.card.close());
    this.text.addEventListener('focusin', (event) => {
      if (!token(event)) return;
      this.select(Number(token(event).dataset.index));
      this.card.open(token(event), describe);
    });
    this.text.addEventListener('focusout', () => this.card.close());
    this.text.addEventListener('keydown', (event) => this.walk(event));
  }

  /** One token of a text is in the order of the Tab key; arrow keys lead to the others. */
  walk(event) {
    const last = this.tokens.length - 1;
    const to = {
      ArrowRight: this.current + 1,
      ArrowLeft: this.current - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.tokens[Math.min(last, Math.max(0, to))].focus();
  }

  select(i) {
    if (this.tokens[this.current]) this.tokens[this.current].tabIndex = -1;
    this.current = i;
    this.tokens[i].tabIndex = 0;
  }
}
