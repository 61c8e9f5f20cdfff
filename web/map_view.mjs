// The maturity map: tokens across, passes down, coloured by how settled a token was.
import {colours, prepare} from './canvas.mjs';
import {visible} from './card.mjs';
import {draftOf, measuresOf, shadeOf} from './lane.mjs';
import {uncommitted} from './trace.mjs';

const LEFT = 34, TOP = 6, BOTTOM = 22;      // room for numbers
const WIDEST = 30, TALLEST = 18;            // a cell
const ROUND = 8;                            // the map grows by so many columns and rows

const roundUp = (value) => Math.max(ROUND, Math.ceil(value / ROUND) * ROUND);

export class MapView {
  /** `onChoose(pass)`: somebody points at a row. */
  constructor(canvas, note, onChoose) {
    this.canvas = canvas;
    this.note = note;
    this.lane = null;
    canvas.addEventListener('pointermove', (event) => this.tell(event));
    canvas.addEventListener('pointerleave', () => { this.note.textContent = this.usual; });
    canvas.addEventListener('click', (event) => {
      const {row} = this.cellAt(event);
      if (row >= 0 && row < this.lane?.passes.length) onChoose(row);
    });
  }

  show(lane, count) {
    this.lane = lane;
    this.count = count;
    const {tokens, passes} = measuresOf(lane, count);
    this.usual = `${tokens} tokens written in ${passes} passes. ` +
                 'Point at a cell to read it; a click shows that pass.';
    this.note.textContent = this.usual;
    this.canvas.setAttribute('aria-label', `Maturity map: ${tokens} tokens in ${passes} passes`);
    this.draw();
  }

  /** By how much the picture is divided: from all that was recorded, so that it stays in place. */
  layout(width, height) {
    const written = measuresOf(this.lane, this.lane.passes.length).tokens;
    const reached = this.lane.passes.map((pass) => this.columnOf(pass.tokens.at(-1)) + 1);
    const columns = roundUp(Math.max(written, ...reached));
    const rows = roundUp(this.lane.passes.length);
    this.cell = {
      width: Math.min(WIDEST, (width - LEFT) / columns),
      height: Math.min(TALLEST, (height - TOP - BOTTOM) / rows),
    };
    return {columns, rows};
  }

  columnOf(token) {
    return token ? token.position - this.lane.header.first_position : -1;
  }

  draw() {
    const {context, width, height} = prepare(this.canvas);
    if (!this.lane?.header) return;
    this.context = context;
    this.colours = colours();
    const {columns, rows} = this.layout(width, height);
    this.axes(columns, rows);
    let written = 0;
    for (let row = 0; row < this.count; ++row) {
      const pass = this.lane.passes[row];
      const now = pass.committed_texts.length;
      if (now > 0) this.fill(written, row, now, this.count - row, this.colours.written, 0);
      uncommitted(this.lane.header, pass).forEach((token, i) => this.token(row, token, i));
      for (let k = 0; k < now; ++k) this.committed(row, written + k, draftOf(this.lane, row, k));
      written += now;
    }
  }

  token(row, token, i) {
    const column = this.columnOf(token);
    if (column < 0) return;
    this.fill(column, row, 1, 1, this.colours.shades[shadeOf(this.lane.header, token)]);
    const judge = this.lane.passes[row + 1];
    const rejected = this.lane.header.mode !== 'diffusion' && row + 1 < this.count &&
                     judge !== undefined && i >= judge.accepted;
    if (rejected) this.cross(column, row);
  }

  committed(row, column, draft) {
    if (draft) this.fill(column, row, 1, 1, this.colours.shades[shadeOf(this.lane.header, draft)]);
    const {width, height} = this.cell;
    this.context.strokeStyle = this.colours.ink;
    this.context.lineWidth = Math.min(1.6, width / 5);
    this.context.strokeRect(LEFT + column * width + 0.8, TOP + row * height + 0.8,
                            Math.max(1, width - 1.6), Math.max(1, height - 1.6));
  }

  fill(column, row, columns, rows, colour, gap = Math.min(0.6, this.cell.width / 8)) {
    const {width, height} = this.cell;
    this.context.fillStyle = colour;
    this.context.fillRect(LEFT + column * width + gap, TOP + row * height + gap,
                          columns * width - 2 * gap, rows * height - 2 * gap);
  }

  cross(column, row) {
    const {width, height} = this.cell;
    const x = LEFT + column * width, y = TOP + row * height;
    const inset = Math.min(3, width / 4, height / 4);
    this.context.strokeStyle = this.colours.rejected;
    this.context.lineWidth = Math.min(1.2, width / 6);
    this.context.beginPath();
    this.context.moveTo(x + inset, y + inset);
    this.context.lineTo(x + width - inset, y + height - inset);
    this.context.moveTo(x + width - inset, y + inset);
    this.context.lineTo(x + inset, y + height - inset);
    this.context.stroke();
  }

  axes(columns, rows) {
    const {width, height} = this.cell;
    const bottom = TOP + rows * height, right = LEFT + columns * width;
    this.context.strokeStyle = this.colours.line;
    this.context.lineWidth = 1;
    this.context.strokeRect(LEFT, TOP, right - LEFT, bottom - TOP);
    this.context.fillStyle = this.colours.muted;
    this.context.font = '11px system-ui, sans-serif';
    this.context.textAlign = 'right';
    for (let row = 0; row < rows; row += ROUND) {
      this.context.fillText(row, LEFT - 6, TOP + row * height + 10);
    }
    this.context.textAlign = 'left';
    for (let column = 0; column < columns; column += ROUND * Math.ceil(28 / width / ROUND)) {
      this.context.fillText(column, LEFT + column * width, bottom + 15);
    }
  }

  cellAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return {
      column: Math.floor((event.clientX - box.left - LEFT) / (this.cell?.width ?? 1)),
      row: Math.floor((event.clientY - box.top - TOP) / (this.cell?.height ?? 1)),
    };
  }

  tell(event) {
    const {column, row} = this.cellAt(event);
    const pass = row < this.count ? this.lane?.passes[row] : undefined;
    const token = pass?.tokens.find((one) => this.columnOf(one) === column);
    this.note.textContent = token === undefined ? this.usual :
        `Pass ${pass.pass}, token ${column}: ${visible(token.text)}, t ${token.t.toFixed(2)}, ` +
        `maturity ${token.maturity.toFixed(2)}; likeliest ${token.top_texts.map(visible).join('  ')}`;
  }
}
