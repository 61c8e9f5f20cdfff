// The latent codes of evolving tokens, in the plane of the two principal axes of the code table. A
// point moves from where the last pass had it; written tokens leave a faint dot behind.
import {colours, prepare} from './canvas.mjs';
import {visible} from './card.mjs';
import {draftOf, shadeOf} from './lane.mjs';
import {uncommitted} from './trace.mjs';

const REACH = 4;       // units of noise from the middle to the edge
const MOVE_MS = 260;   // that a point is on its way
const KEEP = 40;       // dots of written tokens

const evolve = (tokens) => tokens === 1 ? '1 token evolves' : `${tokens} tokens evolve`;
const ease = (x) => 1 - (1 - x) ** 3;

export class CodesView {
  /** `calm()`: points jump instead of moving. */
  constructor(canvas, note, calm) {
    this.canvas = canvas;
    this.note = note;
    this.calm = calm;
    this.points = new Map();  // position -> {from, to, token}
    this.since = 0;
    this.moving = false;
  }

  show(lane, count) {
    this.lane = lane;
    const pass = lane.passes[count - 1];
    const tokens = pass ? uncommitted(lane.header, pass).filter((one) => one.z2.length === 2) : [];
    const before = this.points;
    this.points = new Map(tokens.map((token) => {
      const from = before.get(token.position)?.to ?? token.z2;
      return [token.position, {from, to: token.z2, token}];
    }));
    this.written = pass ? writtenPoints(lane, count) : [];
    this.since = performance.now();
    const none = !lane.header?.code_size ? 'This model has no codes.' :
        lane.mode === 'ar'              ? 'In ar mode nothing evolves.' : '';
    this.note.textContent = none || `${evolve(tokens.length)}.`;
    this.canvas.setAttribute('aria-label', `Latent codes in two dimensions: ` +
        `${evolve(tokens.length)}${tokens.length > 0 ? ': ' : ''}${tokens.map((one) => one.text).join('')}`);
    if (!this.moving) this.step();
  }

  step() {
    const share = this.calm() ? 1 : Math.min(1, (performance.now() - this.since) / MOVE_MS);
    this.moving = share < 1;
    this.draw(ease(share));
    if (this.moving) requestAnimationFrame(() => this.step());
  }

  draw(share = 1) {
    const {context, width, height} = prepare(this.canvas);
    const palette = colours();
    const unit = Math.min(width, height) / (2 * REACH);
    const place = ([x, y]) => [width / 2 + x * unit, height / 2 - y * unit];
    rings(context, palette, place([0, 0]), unit);
    this.written?.forEach((point, i) => {
      context.globalAlpha = 0.1 + 0.3 * (i + 1) / this.written.length;
      dot(context, place(point), 2, palette.muted);
    });
    context.globalAlpha = 1;
    for (const {from, to, token} of this.points.values()) {
      const at = place([0, 1].map((axis) => from[axis] + (to[axis] - from[axis]) * share));
      trail(context, palette, place(from), at);
      dot(context, at, 6, palette.shades[shadeOf(this.lane.header, token)], palette.ink);
      context.fillStyle = palette.ink;
      context.font = '12px system-ui, sans-serif';
      const fits = at[0] + 70 < width;
      context.textAlign = fits ? 'left' : 'right';
      context.fillText(visible(token.text).replace(/^·/, ''), at[0] + (fits ? 9 : -9), at[1] + 4);
    }
  }
}

/** Where the last written tokens were, the oldest first. */
function writtenPoints(lane, count) {
  const points = [];
  for (let i = Math.max(0, count - KEEP); i < count; ++i) {
    lane.passes[i].committed_texts.forEach((_, k) => {
      const point = draftOf(lane, i, k)?.z2;
      if (point?.length === 2) points.push(point);
    });
  }
  return points.slice(-KEEP);
}

function rings(context, palette, [x, y], unit) {
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  for (let radius = 1; radius < REACH; ++radius) {
    context.beginPath();
    context.arc(x, y, radius * unit, 0, 2 * Math.PI);
    context.stroke();
  }
}

function dot(context, [x, y], radius, colour, border) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  if (!border) return;
  context.strokeStyle = border;
  context.lineWidth = 1;
  context.stroke();
}

function trail(context, palette, from, to) {
  context.strokeStyle = palette.muted;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}
