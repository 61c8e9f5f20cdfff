// Traces as files: opened, dropped onto the page, saved.
import {parseTrace, traceText} from './trace.mjs';

/** Calls onTrace(trace, name) for every file that is chosen or dropped, onFault(words) if it is none. */
export function acceptTraces(input, page, {onTrace, onFault}) {
  const read = async (file) => {
    try {
      onTrace(parseTrace(new Uint8Array(await file.arrayBuffer()), file.name), file.name);
    } catch (error) {
      onFault(error.message);
    }
  };
  input.addEventListener('change', () => {
    if (input.files.length > 0) read(input.files[0]);
    input.value = '';  // so that the same file can be chosen again
  });
  page.addEventListener('dragover', (event) => {
    if (!event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    page.classList.add('dropping');
  });
  page.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) page.classList.remove('dropping');
  });
  page.addEventListener('drop', (event) => {
    page.classList.remove('dropping');
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    read(event.dataTransfer.files[0]);
  });
}

/** Saves a lane as a file that this page and `evo generate --replay` read. */
export function saveTrace(lane) {
  const address = URL.createObjectURL(new Blob([traceText(lane)], {type: 'application/jsonl'}));
  const link = document.createElement('a');
  link.href = address;
  link.download = `evo-${lane.mode}-seed-${lane.header.seed}.jsonl`;
  link.click();
  URL.revokeObjectURL(address);
}
