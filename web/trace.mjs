// Traces: what every pass of a generation knew, as a header and a list of passes. The same that
// `evo generate --trace` writes and `evo generate --replay` shows; the server's also say when a pass
// ended, in ms.

const FORMAT = 'evo-trace';
const VERSION = 1;
const ZSTD_MAGIC = [0x28, 0xb5, 0x2f, 0xfd];

/** True for the first object of a trace. */
export function isHeader(object) {
  return object?.format === FORMAT;
}

/** The lines of a file that parseTrace() reads. */
export function traceText({header, passes}) {
  return [header, ...passes].map((line) => JSON.stringify(line) + '\n').join('');
}

/** Reads a file's bytes. Throws Error, in words for people, for what is no trace. */
export function parseTrace(bytes, name) {
  if (ZSTD_MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw new Error(
        `${name} is compressed with zstd, which browsers cannot read. Decompress it with ` +
        '“zstd -d FILE”, or let evo write it as --trace FILE.jsonl.');
  }
  const lines = new TextDecoder().decode(bytes).split('\n').filter((line) => line !== '');
  const objects = lines.map((line, i) => parseLine(line, `${name}, line ${i + 1}`));
  const [header, ...passes] = objects;
  if (!isHeader(header)) {
    throw new Error(`${name} is not a trace. “evo generate --trace FILE.jsonl” and “Save trace” ` +
                    'here make traces.');
  }
  if (header.version !== VERSION) {
    throw new Error(`${name} is a trace of version ${header.version}; this page reads version ` +
                    `${VERSION}. Open it with the evo that wrote it.`);
  }
  passes.forEach((pass, i) => checkPass(pass, `${name}, line ${i + 2}`));
  return {header, passes};
}

function parseLine(line, where) {
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(`${where}: expected a line of JSON, as traces have. Is the file cut short?`);
  }
}

function checkPass(pass, where) {
  const whole = Array.isArray(pass?.tokens) && Array.isArray(pass.committed_texts) &&
                pass.tokens.every((token) => Array.isArray(token?.top_texts));
  if (!whole) throw new Error(`${where}: expected what a pass knew. Is the file damaged?`);
}

/** The tokens of a pass that are not text yet after it: in diffusion mode it names both. */
export function uncommitted(header, pass) {
  return header.mode === 'diffusion' ? pass.tokens.slice(pass.committed_texts.length) : pass.tokens;
}
