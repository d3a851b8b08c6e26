// One call of the official provider against an emulator: a case as JSON on stdin, what its caller got on stdout.
//   {"server": "http://127.0.0.1:PORT", "kind": "image", "model": "...", "params": {...}, "runpod": {...}}
// The provider knows no address but Runpod's, so a fetch of ours sends every request to `server`, path and all.
import { createRunpod } from '@runpod/ai-sdk-provider';
import * as ai from 'ai';
import { readFileSync } from 'node:fs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const given = JSON.parse(readFileSync(0, 'utf8'));
const wanted = [];

const redirected = (url, init) => {
  const asked = new URL(String(url));
  wanted.push(asked.href);
  return fetch(given.server + asked.pathname + asked.search, init);
};

// {"$bytes": "..."} stands for the bytes of base64 text: JSON has none.
const revived = (value) => {
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== 'object') return value;
  if ('$bytes' in value) return Uint8Array.from(Buffer.from(value.$bytes, 'base64'));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revived(inner)]));
};

const runpod = createRunpod({ apiKey: 'rpa_peer', fetch: redirected });
const params = { maxRetries: 0, abortSignal: AbortSignal.timeout(30_000), ...revived(given.params) };
if (given.runpod) params.providerOptions = { runpod: revived(given.runpod) };
for (const tool of Object.values(params.tools ?? {})) tool.inputSchema = ai.jsonSchema(tool.inputSchema);
const base64 = (bytes) => Buffer.from(bytes).toString('base64');

const kinds = {
  async text() {
    const said = await ai.generateText({ model: runpod(given.model), ...params });
    const toolCalls = said.toolCalls.map(({ toolName, input }) => ({ toolName, input }));
    return { text: said.text, finish: said.finishReason, usage: said.usage, toolCalls };
  },
  async stream() {
    const said = ai.streamText({ model: runpod(given.model), ...params, onError: () => {} });
    const parts = [];
    for await (const part of said.textStream) parts.push(part);
    return { parts, text: await said.text, finish: await said.finishReason, usage: await said.usage };
  },
  async image() {
    const made = await ai.generateImage({ model: runpod.image(given.model), ...params });
    return { bytes: base64(made.image.uint8Array), mediaType: made.image.mediaType, told: made.providerMetadata.runpod };
  },
  async speech() {
    const made = await ai.experimental_generateSpeech({ model: runpod.speech(given.model), ...params });
    return { bytes: base64(made.audio.uint8Array), mediaType: made.audio.mediaType, told: made.providerMetadata.runpod };
  },
  async transcription() {
    const made = await ai.experimental_transcribe({ model: runpod.transcription(given.model), ...params });
    return { text: made.text, segments: made.segments, language: made.language };
  },
  async video() {
    const download = async ({ url }) => {
      const answer = await redirected(url);
      return { data: new Uint8Array(await answer.arrayBuffer()), mediaType: answer.headers.get('content-type') };
    };
    const made = await ai.experimental_generateVideo({ model: runpod.video(given.model), download, ...params });
    return { bytes: base64(made.video.uint8Array), mediaType: made.video.mediaType, told: made.providerMetadata.runpod };
  },
};

let said;
try {
  said = { ...(await kinds[given.kind]()), wanted };
} catch (error) {
  said = { error: String(error.message), name: error.name, status: error.statusCode, wanted };
}
process.stdout.write(JSON.stringify(said), () => process.exit(0));
