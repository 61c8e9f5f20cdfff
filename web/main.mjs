// The page: what its controls do.
import {key, model, Problem} from './api.mjs';
import {acceptTraces, saveTrace} from './files.mjs';
import {Form} from './form.mjs';
import {Lane} from './lane.mjs';
import {record} from './recorder.mjs';
import {fromFragment, setUsual, toFragment} from './settings.mjs';
import {Stage} from './stage.mjs';
import {setUpTheme} from './theme.mjs';

const find = (id) => document.getElementById(id);

const stage = new Stage();
const form = new Form(find('ask'), generate);
let running = null;  // AbortController of the run that is recorded

function say(words) {
  find('status').textContent = words;
}

function complain(error) {
  const words = error instanceof Problem ? error.message : `The page failed: ${error.message}`;
  find('problem').textContent = words;
  find('problem').hidden = false;
  if (error.status === 401) {
    find('key').hidden = false;
    find('key_value').focus();
  }
  if (error.param) form.reveal(error.param);
}

function clearComplaint() {
  find('problem').hidden = true;
  find('key').hidden = true;
}

function setRunning(controller) {
  running = controller;
  find('stop').disabled = controller === null;
}

async function generate() {
  const settings = form.read();
  if (settings === null) return;
  running?.abort();
  const controller = new AbortController();
  setRunning(controller);
  clearComplaint();
  history.replaceState(null, '', `#${toFragment(settings)}`);
  say('Generating.');
  const onLane = (lane, i) => {
    if (i > 0) return stage.join(lane);
    show([lane]);
    return painted();
  };
  let words = '';
  try {
    const warning = await record(settings, {signal: controller.signal, onLane});
    words = warning === '' ? 'Done.' : `Done. The server says: ${warning}.`;
  } catch (error) {
    if (running !== controller) return;  // something else is shown by now
    if (error.name === 'AbortError') words = 'Stopped.';
    else complain(error);
  }
  say(words);
  setRunning(null);
  stage.refresh();
}

function show(lanes) {
  document.body.classList.add('started');
  stage.begin(lanes);
  // On a phone it is below the form.
  if (find('stage').getBoundingClientRect().top > innerHeight / 2) find('stage').scrollIntoView();
}

/**
 * The first picture of a run is more work than many passes. On the server's own machine it would be
 * counted as slowness of the first lane. (In a hidden tab there are no pictures to wait for.)
 */
function painted() {
  return new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(done));
    setTimeout(done, 200);
  });
}

function stop() {
  running?.abort();
  stage.player.pause();
}

async function copyLink() {
  const settings = form.read();
  if (settings === null) return;
  const link = Form.link(settings);
  try {
    await navigator.clipboard.writeText(link);
    say('The link is copied. Whoever opens it at this server sees this run.');
  } catch {  // pages that did not come by https may not
    history.replaceState(null, '', link);
    say('Copy the address of this page: it is the link now.');
  }
}

async function greet() {
  try {
    const {name, temperature} = await model();
    find('model').textContent = name;
    if (temperature !== undefined) setUsual('temperature', temperature);
  } catch (error) {
    complain(error);
  }
}

/** What the address asks for. */
function follow() {
  const {settings, run} = fromFragment(location.hash.slice(1));
  form.fill(settings);
  if (run) generate();
}

function listen() {
  find('stop').addEventListener('click', stop);
  find('link').addEventListener('click', copyLink);
  find('save').addEventListener('click', () => saveTrace(stage.lane));
  find('open').addEventListener('click', () => find('file').click());
  find('key').addEventListener('submit', (event) => {
    event.preventDefault();
    key.set(find('key_value').value);
    clearComplaint();
    greet();
  });
  acceptTraces(find('file'), document.body, {
    onTrace: (trace, name) => {
      running?.abort();
      setRunning(null);
      clearComplaint();
      show([Lane.ofTrace(trace)]);
      say(`Replaying ${name}.`);
    },
    onFault: (words) => complain(new Problem(words)),
  });
  addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();  // a field of the form would submit it a second time
      find('ask').requestSubmit();
    }
    if (event.key === 'Escape') stop();
  });
  addEventListener('hashchange', follow);
}

setUpTheme(find('theme'), () => stage.redraw());
listen();
await greet();
follow();
