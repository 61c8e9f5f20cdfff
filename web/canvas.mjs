// What both drawings need: a canvas as sharp as the screen, and the page's colours.
import {SHADES} from './lane.mjs';

/** Sets the canvas to its size on the page times the screen's density; returns its context. */
export function prepare(canvas) {
  const density = window.devicePixelRatio;
  const {width, height} = canvas.getBoundingClientRect();
  const across = Math.round(width * density), down = Math.round(height * density);
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  const context = canvas.getContext('2d');
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return {context, width, height};
}

/** The colours of the style sheet, as they are now: light or dark. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: named('ink'),
    muted: named('muted'),
    line: named('line'),
    written: named('written'),
    rejected: named('rejected'),
    shades: Array.from({length: SHADES}, (_, i) => named(`s${i}`)),
  };
}
