// One conversation of runpod-sdk with an endpoint: a case as JSON on stdin, what its caller got on stdout.
//   {"url": "http://127.0.0.1:PORT/v2", "endpoint": "...", "do": "runSync", "body": {"input": {...}}}
import runpodSdk from 'runpod-sdk';
import { readFileSync } from 'node:fs';

// The SDK prints what it does; what its caller got is the last line.
const given = JSON.parse(readFileSync(0, 'utf8'));
const endpoint = runpodSdk('rpa_peer', { baseUrl: given.url }).endpoint(given.endpoint);
const ended = async (id) => endpoint.statusSync(id, 20_000);

const deeds = {
  runSync: () => endpoint.runSync(given.body, 20_000),
  async run() {
    const queued = await endpoint.run(given.body);
    return { queued, ended: await ended(queued.id), now: await endpoint.status(queued.id) };
  },
  async stream() {
    const queued = await endpoint.run(given.body);
    const pieces = [];
    for await (const piece of endpoint.stream(queued.id)) pieces.push(piece.output);
    return { pieces, ended: await ended(queued.id) };
  },
  async cancel() {
    const queued = await endpoint.run(given.body);
    return { cancelled: await endpoint.cancel(queued.id), ended: await ended(queued.id) };
  },
  async purge() {
    await endpoint.run(given.body);
    return { before: await endpoint.health(), purged: await endpoint.purgeQueue(), after: await endpoint.health() };
  },
};

process.stdout.write(JSON.stringify(await deeds[given.do]()) + '\n', () => process.exit(0));
