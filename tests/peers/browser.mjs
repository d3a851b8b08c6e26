// Pages in a real browser: what to open as JSON on stdin, what was seen on stdout.
//   {"browser": "chromium", "pages": ["report.html"], "flowcharts": ["flowchart TD …"]}
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const given = JSON.parse(readFileSync(0, 'utf8'));
const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const browser = await chromium.launch({
  executablePath: given.browser, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});

// Opens a page as a reader does, with its own policy in force, and uses its keyboard.
const read = async (path, width, colorScheme) => {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, offline: true });
  const page = await context.newPage();
  const said = [], asked = [], url = pathToFileURL(path).href;
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(error.message));
  page.on('request', (request) => { if (!request.url().startsWith('data:')) asked.push(request.url()); });
  await page.goto(url);
  const seen = { said, asked: asked.filter((each) => each !== url), title: await page.title() };
  seen.wide = await page.evaluate(() => document.documentElement.scrollWidth);
  seen.broken = await page.evaluate(() => [...document.images].filter((each) =>
    !each.closest('dialog') && !(each.complete && each.naturalWidth)).map((each) => each.alt));
  seen.ran = await page.evaluate(() => window.ran ?? null);
  await page.keyboard.press('Tab');
  seen.first = await page.evaluate(() => document.activeElement.textContent);
  const range = page.locator('.before input[type=range]').first();
  if (await range.count()) {
    await range.focus();
    for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowLeft');
    seen.cut = await range.evaluate((each) => each.parentElement.style.getPropertyValue('--cut'));
    seen.slider = await range.getAttribute('aria-label');
  }
  const picture = page.locator('button[data-larger]').first();
  if (await picture.count()) {
    await picture.focus();
    await page.keyboard.press('Enter');
    seen.larger = await page.evaluate(() => document.querySelector('dialog').open);
    await page.keyboard.press('Escape');
    seen.closed = await page.evaluate(() => !document.querySelector('dialog').open);
  }
  const media = page.locator('audio, video');
  if (await media.count()) {
    await media.first().evaluate((each) => each.readyState > 0 || new Promise((there) => {
      each.addEventListener('loadedmetadata', there);
      each.load();
    }));
    seen.seconds = await media.first().evaluate((each) => each.duration);
  }
  await context.close();
  return seen;
};

// Everything is opened and checked by axe-core, which the page's policy would not let in.
const checked = async (path, width, colorScheme) => {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
  const page = await context.newPage();
  await page.goto(pathToFileURL(path).href);
  await page.evaluate(() => document.querySelectorAll('details').forEach((each) => { each.open = true; }));
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
  await context.close();
  return found.violations.map((each) => `${each.id}: ${each.help}: ${each.nodes[0].html.slice(0, 200)}`);
};

const parsed = async (flowcharts) => {
  const page = await browser.newPage();
  await page.addScriptTag({ path: require.resolve('mermaid/dist/mermaid.min.js') });
  const wrong = [];
  for (const text of flowcharts) {
    const drawn = await page.evaluate(async (each) => {
      try { return (await globalThis.mermaid.render('drawn', each)).svg; } catch (error) { return { error: error.message }; }
    }, text);
    wrong.push(typeof drawn === 'string' ? (drawn.match(/class="node /g) ?? []).length : drawn.error);
  }
  return wrong;
};

const ways = [[1280, 'light'], [375, 'dark']];
const pages = {};
for (const path of given.pages) {
  pages[path] = await Promise.all(ways.map(async ([width, scheme]) => (
    { width, ...await read(path, width, scheme), violations: await checked(path, width, scheme) })));
}
console.log(JSON.stringify({ pages, flowcharts: await parsed(given.flowcharts) }));
await browser.close();
