// The page of `evo serve` in Chromium. With EVO_SCREENSHOTS set, pictures of it go to that folder.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {promisify} from 'node:util';

import {chromium} from 'playwright-core';

import {binary, environment, model, Served, until} from './server.mjs';

const run = promisify(execFile);
const LARGEST_PAGE = 300_000;  // bytes, everything together

let served, browser, folder;

before(async () => {
  served = await Served.start('--name', 'evo-7m');
  browser = await chromium.launch({
    executablePath: environment('EVO_CHROMIUM'),
    args: ['--no-sandbox'],  // root has none, and the page is ours
  });
  folder = await mkdtemp(join(tmpdir(), 'evo-page-'));
});
after(async () => {
  await browser?.close();
  await rm(folder, {recursive: true, force: true});
  await served?.kill();
});

/** Opens the page for a test; it must not complain on the console, unless `faults` are expected. */
function pageTest(name, options, body) {
  test(name, async () => {
    const {address = '/', server = served, faults = false, ...context} = options;
    const window = await browser.newContext({reducedMotion: 'reduce', ...context});
    const page = await window.newPage();
    page.setDefaultTimeout(15_000);
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(error.stack));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    try {
      await page.goto(server.url + address);
      await body(page);
      if (!faults) assert.deepEqual(complaints, []);
    } finally {
      await window.close();
    }
  });
}

const generate = (page) => page.getByRole('button', {name: /Generate/}).click();
const lane = (page, i = 0) => page.locator('.lane').nth(i);
const problem = (page) => page.locator('#problem');
const EVOLVING = '.token:has(> :not(.settled))';

// Here the same drafts are made on every machine; in exact mode they depend on what passes cost.
const EVO = {address: '/#mode=evo'};

/** What a lane has written, without its prompt and without what evolves. */
const written = (page, i = 0) => lane(page, i).locator('.token:has(> .settled)').allTextContents()
                                     .then((texts) => texts.join(''));

/** Until both recording and showing are over. */
async function finish(page) {
  await page.locator('#stage[data-state=ended]').waitFor();
}

async function fast(page) {
  await page.evaluate(() => {
    const pace = document.getElementById('pace');
    pace.value = '';
    pace.dispatchEvent(new Event('change'));
  });
}

/** Chooses a moment by its place among all, 0 to 1. */
async function moveTo(page, share) {
  await page.locator('#moment').evaluate((slider, part) => {
    slider.value = Math.round(slider.max * part);
    slider.dispatchEvent(new Event('input'));
  }, share);
}

/** A picture of a moment at which many tokens evolve; which one that is depends on the text. */
async function picture(page, name, prepare) {
  await page.locator('#pace').selectOption({label: '10 passes a second'});
  let fullest = {share: 0, evolving: 0};
  for (let share = 0.9; share > 0 && fullest.evolving < 4; share -= 0.01) {
    await moveTo(page, share);
    const evolving = await lane(page).locator(EVOLVING).count();
    if (evolving > fullest.evolving) fullest = {share, evolving};
  }
  assert.ok(fullest.evolving > 0, 'no token evolves at any moment');
  await moveTo(page, fullest.share);
  await prepare();
  const pictures = process.env.EVO_SCREENSHOTS;
  if (pictures) await page.screenshot({path: join(pictures, `${name}.png`)});
}

pageTest('a prompt is typed, and its text forms token by token', EVO, async (page) => {
  const prompt = 'One day, a cat named Tom';
  await page.getByLabel('Prompt').fill(prompt);
  await page.keyboard.press('Control+Enter');
  await page.locator(EVOLVING).first().waitFor();
  await finish(page);
  assert.equal(await lane(page).locator('.before').textContent(), prompt);
  assert.equal(await lane(page).locator('[data-measure=tokens]').textContent(), '80');
  assert.ok((await written(page)).length > 80);
});

pageTest('exact and ar write the same beside each other', {}, async (page) => {
  await fast(page);
  await generate(page);
  await finish(page);
  assert.equal(await page.locator('.lane').count(), 2);
  assert.equal(await written(page, 0), await written(page, 1));
  assert.match(await page.locator('#verdict').textContent(), /^Word for word the same text: exact/);
  const passes = (i) => lane(page, i).locator('[data-measure=passes]').textContent().then(Number);
  assert.ok(await passes(0) <= await passes(1));
  assert.equal(await lane(page, 1).locator('[data-measure=perPass]').textContent(), '1.00');
  assert.match(await lane(page).locator('[data-measure=perSecond]').textContent(), /^\d+$/);
});

pageTest('the balance moves between the modes', {}, async (page) => {
  const mode = () => page.locator('input[name=mode]:checked').inputValue();
  const balance = page.getByLabel('Balance');
  assert.equal(await mode(), 'exact');
  await balance.press('ArrowRight');
  assert.equal(await mode(), 'evo');
  await balance.press('End');
  assert.equal(await mode(), 'diffusion');
  await page.getByRole('radio', {name: 'evo'}).check({force: true});
  assert.equal(await balance.inputValue(), '0.05');
  const asked = page.waitForRequest((request) => request.url().endsWith('/v1/completions'));
  await fast(page);
  await generate(page);
  const body = (await asked).postDataJSON();
  assert.equal(body.mode, 'evo');
  assert.equal(body.balance, 0.05);
  await finish(page);
  assert.match(await lane(page).locator('h3').textContent(), /evo 0\.05/);
});

pageTest('candidates are shown to the mouse and to the keyboard', EVO, async (page) => {
  await fast(page);
  await generate(page);
  await finish(page);
  await moveTo(page, 0);
  const card = page.locator('#card');
  assert.equal(await card.isVisible(), false);
  await lane(page).locator(EVOLVING).first().hover();
  assert.equal(await card.locator('li').count(), 5);
  assert.match(await card.textContent(), /still evolving.*maturity 0\.\d\d/);
  await page.mouse.move(1, 1);
  assert.equal(await card.isVisible(), false);

  await lane(page).locator('.token[tabindex="0"]').focus();
  assert.match(await card.textContent(), /written in pass 0/);
  await page.keyboard.press('End');
  assert.match(await card.textContent(), /still evolving/);
  const focused = page.locator(':focus');
  assert.equal(await focused.getAttribute('aria-describedby'), 'card');
  assert.equal(await lane(page).locator('.token[tabindex="0"]').count(), 1);
});

pageTest('a run is replayed pass by pass', {}, async (page) => {
  await fast(page);
  await generate(page);
  await finish(page);
  const whole = await written(page);
  const slider = page.getByLabel('Moment of the run');
  await slider.press('Home');
  const first = await written(page);
  assert.ok(first.length > 0 && first.length < whole.length);
  assert.match(await slider.getAttribute('aria-valuetext'), /^pass 1 of \d+$/);
  for (let i = 0; i < 20; ++i) await slider.press('ArrowRight');
  assert.ok((await written(page)).length > first.length);
  assert.ok(whole.startsWith(await written(page)));
  await slider.press('End');
  assert.equal(await written(page), whole);
  await page.getByRole('button', {name: 'Play'}).click();  // from the beginning
  await finish(page);
  assert.equal(await written(page), whole);
});

pageTest('the drawings are drawn', {}, async (page) => {
  await page.getByRole('radio', {name: 'diffusion'}).check({force: true});
  await fast(page);
  await generate(page);
  await finish(page);
  await moveTo(page, 0.5);
  const colours = (id) => page.locator(id).evaluate((canvas) => {
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
    return {noise: seen.has('253,231,37'), settled: seen.has('65,68,135')};
  });
  assert.deepEqual(await colours('#map'), {noise: true, settled: true});
  const box = await page.locator('#map').boundingBox();
  const before = await lane(page).locator('[data-measure=passes]').textContent();
  await page.locator('#map').click({position: {x: box.width / 2, y: 8}});
  assert.notEqual(before, '1');
  assert.equal(await lane(page).locator('[data-measure=passes]').textContent(), '1');
  assert.equal((await colours('#codes')).noise, true);
});

pageTest('a saved trace is replayed here and by evo generate', {}, async (page) => {
  await fast(page);
  await generate(page);
  await finish(page);
  const whole = await written(page);
  const download = page.waitForEvent('download');
  await page.getByRole('button', {name: 'Save trace'}).click();
  const file = join(folder, 'saved.jsonl');
  await (await download).saveAs(file);
  const {stdout} = await run(binary, ['generate', '--replay', file]);
  const pieces = [...stdout.matchAll(/ per forward pass: ("(?:[^"\\]|\\.)*")/g)];
  assert.equal(pieces.map(([, piece]) => JSON.parse(piece)).join(''), whole);

  await page.reload();
  await fast(page);
  await page.locator('#file').setInputFiles(file);
  await page.getByText('Replaying saved.jsonl').waitFor();
  await finish(page);
  assert.equal(await written(page), whole);
  assert.equal(await page.locator('.lane').count(), 1);
});

pageTest('traces of evo generate can be dropped, compressed ones are explained', {}, async (page) => {
  const file = join(folder, 'made.jsonl');
  const {stdout} = await run(binary, ['generate', model, '--prompt', 'The dog',
                                      '--max-tokens', '12', '--trace', file, '--json']);
  const drop = async (name, bytes) => {
    const data = await page.evaluateHandle(({title, content}) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(content)], title));
      return transfer;
    }, {title: name, content: [...bytes]});
    await page.dispatchEvent('body', 'drop', {dataTransfer: data});
  };
  await drop('made.jsonl', await readFile(file));
  await page.getByText('Replaying made.jsonl').waitFor();
  await finish(page);
  assert.equal(await written(page), JSON.parse(stdout).text);
  assert.equal(await lane(page).locator('[data-measure=perSecond]').textContent(), '–');
  await drop('made.jsonl.zst', [0x28, 0xb5, 0x2f, 0xfd, 0, 0]);
  assert.match(await problem(page).textContent(), /made\.jsonl\.zst is compressed with zstd.*zstd -d/);
});

pageTest('a link brings back the run', {}, async (page) => {
  await page.getByLabel('Prompt').fill('A & b = 100% "ü"');
  await page.getByLabel('Seed', {exact: true}).fill('77');
  await page.getByLabel('Tokens at most').fill('20');
  await fast(page);
  await generate(page);
  await finish(page);
  const text = await written(page);
  const other = await page.context().newPage();
  await other.goto(`${page.url()}&run=1`);
  await finish(other);
  assert.equal(await other.getByLabel('Seed', {exact: true}).inputValue(), '77');
  assert.equal(await written(other), text);
});

pageTest('a wrong number is named where it is', {}, async (page) => {
  await page.getByText('More settings').click();
  await page.getByLabel('Temperature').fill('hot');
  await page.getByText('More settings').click();
  await generate(page);
  assert.equal(await page.locator(':focus').getAttribute('id'), 'temperature');
  assert.match(await page.locator('#temperature_fault').textContent(), /a number from 0 to 100/);
  assert.equal(await page.locator('.lane').count(), 0);
});

pageTest('Escape stops the text in the server', {}, async (page) => {
  await page.goto(`${served.url}/#mode=diffusion&window=1&steps=4000&max_tokens=900&run=1`);
  await until(async () => await served.metric('evo_active_sequences') === 1, 'the text is being written');
  await page.keyboard.press('Escape');
  await page.getByText('Stopped.').waitFor();
  await until(async () => await served.metric('evo_active_sequences') === 0, 'the text is given up');
});

pageTest('what goes wrong is told in words', {faults: true}, async (page) => {
  const told = async (status, message, words) => {
    await page.route('**/v1/completions', (route) => route.fulfill({
      status,
      contentType: 'application/json',
      body: JSON.stringify({error: {message, param: null}}),
    }));
    await generate(page);
    await page.locator('#problem', {hasText: words}).waitFor();
    await page.unroute('**/v1/completions');
  };
  await told(429, 'full', /busy and its queue is full.*Wait/);
  await told(503, 'shutting down', /shutting down\. Try again/);
  await told(500, 'oh', /Something went wrong in the server: oh/);
  await page.getByLabel('Prompt').fill('cat '.repeat(3000));
  await generate(page);
  await page.locator('#problem', {hasText: /refused this: the prompt has \d+ tokens/}).waitFor();
  assert.equal(await page.locator(':focus').getAttribute('id'), 'prompt');
  await page.getByLabel('Prompt').fill('The cat');
  await fast(page);
  await generate(page);
  await finish(page);
  assert.equal(await problem(page).isVisible(), false);
});

test('a server that ends in the middle of a text is missed', async () => {
  const short = await Served.start();
  const page = await browser.newPage();
  try {
    await page.goto(`${short.url}/#mode=diffusion&window=1&steps=4000&max_tokens=900&run=1`);
    await page.locator('.token').first().waitFor();
    await short.kill();
    await page.locator('#problem', {hasText: 'The connection broke'}).waitFor();
    assert.ok(await page.locator('.token').count() > 0);
    await generate(page);
    await page.locator('#problem', {hasText: 'The server does not answer'}).waitFor();
  } finally {
    await page.close();
    await short.kill();
  }
});

test('a server with a key shows its page and asks for the key', async () => {
  const locked = await Served.start('--api-key', 'secret');
  const page = await browser.newPage();
  try {
    await page.goto(locked.url);
    await page.getByLabel('Key of the server').fill('secret');
    await page.getByRole('button', {name: 'Use it'}).click();
    await page.locator('#model', {hasText: /\S/}).waitFor();
    assert.equal(await problem(page).isVisible(), false);
    await fast(page);
    await generate(page);
    await finish(page);
    assert.ok((await written(page)).length > 0);
  } finally {
    await page.close();
    await locked.kill();
  }
});

pageTest('every control has a name', {address: '/#run=1'}, async (page) => {
  await finish(page);
  await page.getByText('More settings').click();
  const session = await page.context().newCDPSession(page);
  const {nodes} = await session.send('Accessibility.getFullAXTree');
  const roles = ['button', 'textbox', 'slider', 'radio', 'checkbox', 'combobox', 'img', 'link', 'group'];
  const controls = nodes.filter((node) => !node.ignored && roles.includes(node.role?.value));
  const nameless = controls.filter((node) => !node.name?.value && node.role.value !== 'group');
  assert.deepEqual(nameless.map((node) => node.role.value), []);
  assert.ok(controls.length > 20);
  const text = await page.locator('#announcer').textContent();
  assert.equal(text, await written(page));
});

pageTest('the page is small, and has only its own files', {}, async (page) => {
  const files = [];
  page.on('request', (request) => files.push(request.url()));
  const response = await page.reload({waitUntil: 'networkidle'});
  assert.match(response.headers()['content-security-policy'], /default-src 'none'/);
  let bytes = 0;
  for (const file of files) {
    assert.ok(file.startsWith(served.url), file);
    bytes += (await (await fetch(file)).arrayBuffer()).byteLength;
  }
  assert.ok(bytes > 10_000 && bytes < LARGEST_PAGE, `${bytes} bytes`);
});

pageTest('colours follow the system, and the button', {colorScheme: 'dark'}, async (page) => {
  const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await paper();
  await page.emulateMedia({colorScheme: 'light'});
  const light = await paper();
  assert.notEqual(light, dark);
  const button = page.getByRole('button', {name: /Colours/});
  await button.click();
  await button.click();
  assert.match(await button.textContent(), /dark/);
  assert.equal(await paper(), dark);
  await page.reload();
  assert.equal(await paper(), dark);
});

const PHONE = {
  address: '/#mode=evo&temperature=0',
  viewport: {width: 390, height: 844},
  hasTouch: true,
  isMobile: true,
  deviceScaleFactor: 1.5,
  colorScheme: 'dark',
};

pageTest('a phone shows all of it', PHONE, async (page) => {
  await fast(page);
  for (let i = 0; i < 2; ++i) {
    await page.getByRole('button', {name: /Generate/}).tap();
    await finish(page);
  }
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.equal(widths[0], widths[1]);
  const inView = await page.locator('.player').boundingBox();
  assert.ok(inView.y >= 0 && inView.y < 844 / 2, `the run is at ${inView.y}`);
  await moveTo(page, 0.6);
  await lane(page).locator('.token').first().tap();
  assert.equal(await page.locator('#card').isVisible(), true);
  await page.locator('.legend').tap();
  await picture(page, 'page-phone', () => page.locator('#stage').evaluate((stage) => {
    document.activeElement.blur();
    stage.scrollIntoView();
  }));
});

const DESK = {address: PHONE.address, viewport: {width: 1280, height: 1120}};

pageTest('a picture of it', DESK, async (page) => {
  await fast(page);
  for (let i = 0; i < 2; ++i) {  // the first run is not as fast as those behind it
    await generate(page);
    await finish(page);
  }
  await picture(page, 'page', () => lane(page).locator(EVOLVING).first().hover());
  assert.equal(await page.locator('#card').isVisible(), true);
});
