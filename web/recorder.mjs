// Lets the server write and records it, lane by lane.
import {complete} from './api.mjs';
import {Lane} from './lane.mjs';
import {toRequest} from './settings.mjs';
import {isHeader} from './trace.mjs';

/**
 * Records the settings' mode and then, for the race, ar. One after the other: side by side they would
 * share the server's passes, and neither would have its own speed. Awaits onLane(lane, i) before each.
 * Returns the server's warnings. Throws what complete() throws; what was recorded until then stays.
 */
export async function record(settings, {signal, onLane}) {
  const modes = settings.race && settings.mode !== 'ar' ? [settings.mode, 'ar'] : [settings.mode];
  const lanes = modes.map((mode) => new Lane(mode));
  const warnings = new Set();
  try {
    for (const [i, lane] of lanes.entries()) {
      signal.throwIfAborted();  // or the page would get a lane of a run that it has given up
      await onLane(lane, i);
      warnings.add(await recordLane(lane, settings, signal));
    }
  } finally {
    for (const lane of lanes) lane.running = false;
  }
  return [...warnings].join(' ');
}

async function recordLane(lane, settings, signal) {
  const onEvents = (events) => {
    for (const {evo} of events) {
      if (isHeader(evo)) lane.header = evo;
      else if (evo !== undefined) lane.add(evo);
    }
  };
  try {
    return await complete(toRequest(settings, lane.mode), {signal, onEvents});
  } finally {
    lane.running = false;
  }
}
