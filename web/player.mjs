// The clock of what is shown. Lanes were recorded each on its own clock, from its own beginning; here
// they run on one, side by side, so that what one does first is seen first. The clock may run slower
// than the recording, so that people can follow, and waits where a recording is still growing.

export class Player {
  /**
   * `onTick()` is called when something may have changed. `nextFrame(f)` calls f(ms) at the next
   * picture, as requestAnimationFrame does.
   */
  constructor(onTick, nextFrame) {
    this.onTick = onTick;
    this.nextFrame = nextFrame;
    this.lanes = [];
    this.limit = Infinity;  // passes per second that are shown
    this.clock = 0;         // ms
    this.playing = false;
    this.last = null;       // when the last picture was
  }

  /** What was recorded so far, in ms. */
  get end() {
    return Math.max(0, ...this.lanes.map((lane) => lane.end));
  }

  get growing() {
    return this.lanes.some((lane) => lane.running);
  }

  /** Passes per second of the lane of most passes, on average; 0 while that cannot be said. */
  get average() {
    const most = Math.max(0, ...this.lanes.map((lane) => lane.passes.length));
    return this.end > 0 ? (most - 1) / (this.end / 1000) : 0;
  }

  /**
   * How fast the clock runs, less than 1 in slow motion. It goes by the average: a single pass may
   * have taken long, and nobody must wait for it.
   */
  get rate() {
    return this.average > this.limit ? this.limit / this.average : 1;
  }

  /** The moments at which something happens, in order. */
  get moments() {
    const times = this.lanes.flatMap((lane) => lane.times);
    return [...new Set(times)].sort((a, b) => a - b);
  }

  start(lanes) {
    this.lanes = lanes;
    this.clock = 0;
    this.play();
  }

  play() {
    if (!this.growing && this.clock >= this.end) this.clock = 0;
    if (this.playing) return;
    this.playing = true;
    this.last = null;
    this.onTick();
    this.nextFrame((now) => this.tick(now));
  }

  pause() {
    this.playing = false;
    this.onTick();
  }

  seek(clock) {
    this.clock = clock;
    this.onTick();
  }

  tick(now) {
    if (!this.playing) return;
    const passed = now - (this.last ?? now);
    this.last = now;
    this.clock = Math.min(this.clock + passed * this.rate, this.end);
    if (!this.growing && this.clock >= this.end) this.playing = false;
    this.onTick();
    if (this.playing) this.nextFrame((later) => this.tick(later));
  }
}
