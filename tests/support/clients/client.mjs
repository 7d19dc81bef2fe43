// Node's clients: `http` with a keep-alive agent of one socket, and the built-in fetch.
// Started with the door's address, the token in TOKEN. Says what came of each task: a name, a tab, the outcome.
import http from 'node:http';

const [base] = process.argv.slice(2);
const identity = { authorization: `Bearer ${process.env.TOKEN}` };
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const big = Buffer.alloc(1 << 20, 'b');
const length = { 'content-length': big.length };

function call(method, path, { headers = identity, pieces = [], expect = false } = {}) {
  return new Promise((resolve, reject) => {
    const hints = [];
    let sent = false;
    const request = http.request(base + path, { method, agent, headers }, (response) => {
      if (!sent) request.end();
      const came = [];
      response.on('data', (piece) => came.push(piece));
      response.on('error', reject);
      response.on('end', () => resolve({
        status: response.statusCode,
        headers: response.headers,
        text: Buffer.concat(came).toString(),
        hints,
        reused: request.reusedSocket,
      }));
    });
    const send = () => {
      sent = true;
      for (const piece of pieces) request.write(piece);
      request.end();
    };
    request.on('error', reject);
    request.on('information', (info) => hints.push(info.statusCode));
    if (expect) {
      request.on('continue', send);
      request.flushHeaders();
    } else {
      send();
    }
  });
}

async function attempt(name, task) {
  let outcome;
  try {
    outcome = await task();
  } catch (error) {
    outcome = `${error.name}: ${error.message} ${error.cause ?? ''}`;
  }
  console.log(`${name}\t${outcome}`);
}

const refused = (status, text) => `${status} ${JSON.parse(text).code}`;
const lines = (text) => text.split('\n').filter(Boolean).join(',');

await attempt('one after the other', async () => {
  const one = await call('GET', '/one');
  const two = await call('GET', '/two');
  return two.reused ? `${one.text}, ${two.text}` : 'on a new connection';
});
await attempt('head', async () => {
  const head = await call('HEAD', '/head');
  const next = await call('GET', '/next');
  return `${head.status} ${head.headers['content-length']}, ${next.text}`;
});
await attempt('upload', async () => {
  const got = await call('POST', '/up', { headers: { ...identity, ...length }, pieces: [big] });
  return got.text;
});
await attempt('stream', async () => (await call('POST', '/stream', { pieces: ['alpha', 'beta'] })).text);
await attempt('expect', async () => {
  const headers = { ...identity, ...length, expect: '100-continue' };
  return (await call('PUT', '/expect', { headers, pieces: [big], expect: true })).text;
});
await attempt('expect, refused', async () => {
  const got = await call('PUT', '/expect', { headers: { ...length, expect: '100-continue' }, expect: true });
  return refused(got.status, got.text);
});
await attempt('upload, refused', async () => {
  const got = await call('POST', '/up', { headers: length, pieces: [big] });
  return refused(got.status, got.text);
});
await attempt('hints', async () => {
  const got = await call('GET', '/hints');
  return `${got.hints} ${got.text}`;
});
await attempt('events', async () => lines((await call('GET', '/events')).text));
await attempt('fetch', async () => {
  const body = new ReadableStream({
    start(stream) {
      stream.enqueue(Buffer.from('alpha'));
      stream.enqueue(Buffer.from('beta'));
      stream.close();
    },
  });
  return await (await fetch(`${base}/stream`, { method: 'POST', body, duplex: 'half', headers: identity })).text();
});
await attempt('fetch, refused', async () => {
  const got = await fetch(`${base}/up`, { method: 'POST', body: big });
  return refused(got.status, await got.text());
});
await attempt('together', async () => {
  const one = async (n) => (await fetch(`${base}/${n}`, { headers: identity })).text();
  const texts = await Promise.all(Array.from({ length: 50 }, (_, n) => one(n)));
  return texts.every((text, n) => text === `GET /${n} 0`) ? 'each its own' : texts;
});
agent.destroy();
