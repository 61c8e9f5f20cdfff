// The server that tests talk to: EVO_BINARY serves EVO_MODEL.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';

export function environment(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run scripts/test-web`);
  return value;
}

export const binary = environment('EVO_BINARY');
export const model = environment('EVO_MODEL');

export class Served {
  /** Starts a server on a free port; `more` are further arguments of evo serve. */
  static async start(...more) {
    const served = new Served();
    served.process = spawn(
        binary, ['serve', model, '--port', '0', '--json', '--threads', '1', ...more],
        {stdio: ['ignore', 'pipe', 'ignore'],
         env: {...process.env, XDG_CACHE_HOME: '/dev/null'}});  // not the user's
    for await (const line of createInterface({input: served.process.stdout})) {
      served.url = JSON.parse(line).url;
      return served;
    }
    throw new Error('evo serve ended before it said its address');
  }

  get isRunning() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Ends at once; returns when it has ended. */
  async kill() {
    if (!this.isRunning) return;
    this.process.kill('SIGKILL');
    await once(this.process, 'exit');
  }

  /** As an operator ends it; returns the exit status. */
  async stop() {
    if (!this.isRunning) return this.process.exitCode;
    this.process.kill('SIGTERM');
    const [status] = await once(this.process, 'exit');
    return status;
  }

  async metric(name) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    return Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))[1]);
  }
}

/** Waits until `condition` holds; fails after ten seconds. */
export async function until(condition, what) {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ten seconds: ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}
