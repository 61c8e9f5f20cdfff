// What is seen of a run: lanes, map, codes and the controls of the player, at the player's moment.
import {Announcer} from './announcer.mjs';
import {Card} from './card.mjs';
import {CodesView} from './codes_view.mjs';
import {textAfter, verdict} from './lane.mjs';
import {LaneView} from './lane_view.mjs';
import {MapView} from './map_view.mjs';
import {Player} from './player.mjs';

const REST_MS = 100;  // between pictures while the server writes
const FAST = 10;      // passes per second

const find = (id) => document.getElementById(id);

export class Stage {
  constructor() {
    this.player = new Player(() => this.refresh(), requestAnimationFrame.bind(window));
    this.card = new Card(find('card'));
    this.announcer = new Announcer(find('announcer'));
    this.map = new MapView(find('map'), find('map_note'), (pass) => {
      this.player.pause();
      this.player.seek(this.player.lanes[0].times[pass]);
    });
    const calm = matchMedia('(prefers-reduced-motion: reduce)');
    this.codes = new CodesView(find('codes'), find('codes_note'),
                               () => calm.matches || this.mustRest);
    this.drawnAt = 0;
    this.views = [];
    this.listen();
  }

  /** Shows these lanes from their beginning. The first one is the run, the second its rival. */
  begin(lanes) {
    find('lanes').replaceChildren();
    this.views = [];
    this.announcer.begin();
    this.player.lanes = [];
    for (const lane of lanes) this.join(lane);
    find('stage').dataset.by = lanes[0].mode === 'diffusion' ? 'time' : 'maturity';
    this.player.start(this.player.lanes);
  }

  /** One more lane. */
  join(lane) {
    const element = find('lane').content.firstElementChild.cloneNode(true);
    find('lanes').append(element);
    const view = new LaneView(element, this.card);
    view.begin(lane);
    this.views.push(view);
    this.player.lanes.push(lane);
    this.counts = null;
    this.drawn = null;
  }

  get lane() {
    return this.player.lanes[0];
  }

  /**
   * A model that is this fast may share its processor with this page: what is drawn while it writes
   * makes it slower, and its measures wrong.
   */
  get mustRest() {
    return this.player.growing && this.player.average > FAST;
  }

  /** Everything as it is at the player's moment; called for every picture. */
  refresh() {
    if (!this.lane || (this.mustRest && performance.now() - this.drawnAt < REST_MS)) return;
    this.drawnAt = performance.now();
    const counts = this.player.lanes.map((lane) => lane.countAt(this.player.clock));
    const recorded = this.player.lanes.map((lane) => lane.passes.length);
    const now = JSON.stringify([counts, recorded, this.player.playing, this.state]);
    if (now === this.counts) return;
    this.counts = now;
    this.views.forEach((view, i) => view.show(counts[i]));
    this.controls(counts);
    this.pictures(counts[0], recorded[0]);
    this.tell(counts);
  }

  /** Only when they change: the codes would begin their movement anew. */
  pictures(count, recorded) {
    const drawn = `${count} of ${recorded}`;
    if (!this.lane.header || drawn === this.drawn) return;
    this.drawn = drawn;
    this.map.show(this.lane, count);
    this.codes.show(this.lane, count);
  }

  /** recording, playing, paused, or ended: all was shown. */
  get state() {
    const {player} = this;
    if (player.growing) return 'recording';
    if (player.playing) return 'playing';
    return player.clock < player.end ? 'paused' : 'ended';
  }

  tell(counts) {
    const ended = this.state === 'ended';
    find('stage').dataset.state = this.state;
    find('verdict').textContent =
        ended && this.player.lanes.length > 1 ? verdict(...this.player.lanes) : '';
    if (!this.lane.header) return;
    const {settled} = textAfter(this.lane, counts[0]);
    this.announcer.hear(settled.map((token) => token.text).join(''), ended);
  }

  controls(counts) {
    const {player, lane} = this;
    const slider = find('moment'), moments = player.moments;
    slider.max = Math.max(0, moments.length - 1);
    slider.disabled = moments.length === 0;
    slider.value = moments.findLastIndex((time) => time <= player.clock);
    const of = player.growing ? 'so far' : `of ${lane.passes.length}`;
    const said = `pass ${counts[0]} ${of}`;
    slider.setAttribute('aria-valuetext', said);
    const slower = player.playing && player.rate < 0.95 ?
        `, ${Math.round(1 / player.rate)} times slower than it ran` : '';
    find('moment_note').textContent = said + (lane.timed ? slower : '');
    find('play').textContent = player.playing ? 'Pause' : 'Play';
    find('play').disabled = moments.length === 0;
    find('save').disabled = player.growing || !lane.header;
  }

  listen() {
    const {player} = this;
    find('play').addEventListener('click', () => player.playing ? player.pause() : player.play());
    find('moment').addEventListener('input', (event) => {
      player.pause();
      player.seek(player.moments[event.target.value]);
    });
    const choosePace = () => { player.limit = Number(find('pace').value) || Infinity; };
    find('pace').addEventListener('change', choosePace);
    choosePace();
    addEventListener('resize', () => this.redraw());
    addEventListener('scroll', () => this.card.close(), {passive: true});
  }

  /** The same in other colours, or another size. */
  redraw() {
    this.map.draw();
    this.codes.draw();
  }
}
