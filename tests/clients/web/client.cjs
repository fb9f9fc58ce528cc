// The provider for flagd that web pages use, driven line by line; see the driver in main.rs. It needs
// no browser: Node has `fetch`, over which the provider uses Connect.
//
// client.cjs PORT: reads requests, writes responses and events, one per line of JSON.
// Not an ES module, so that NODE_PATH says where its packages are.

const { createInterface } = require('node:readline');
const { FlagdWebProvider } = require('@openfeature/flagd-web-provider');
const { OpenFeature, ProviderEvents } = require('@openfeature/web-sdk');

const EVENTS = {
  [ProviderEvents.Ready]: 'ready',
  [ProviderEvents.Stale]: 'stale',
  [ProviderEvents.Error]: 'error',
  [ProviderEvents.ConfigurationChanged]: 'changed',
};

const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// A page has one context, which flagd receives when it changes; all results for it are cached.
let told = '{}';

async function answer(client, { key, type, default: otherwise, context = {} }) {
  if (told !== JSON.stringify(context)) {
    told = JSON.stringify(context);
    await OpenFeature.setContext(context);
  }
  const ask = {
    boolean: client.getBooleanDetails,
    string: client.getStringDetails,
    integer: client.getNumberDetails,
    float: client.getNumberDetails,
    object: client.getObjectDetails,
  }[type];
  const details = ask.call(client, key, otherwise);
  write({
    value: details.value,
    variant: details.variant ?? null,
    reason: details.reason,
    error: details.errorCode ?? null,
    metadata: details.flagMetadata ?? {},
  });
}

async function main() {
  const [port] = process.argv.slice(2);
  const client = OpenFeature.getClient();
  for (const [event, name] of Object.entries(EVENTS)) {
    client.addHandler(event, (details) => {
      write({ event: name, flags: details?.flagsChanged ?? [] });
    });
  }
  await OpenFeature.setProviderAndWait(
    new FlagdWebProvider({ host: '127.0.0.1', port: Number(port), tls: false }),
  );
  for await (const line of createInterface({ input: process.stdin })) {
    await answer(client, JSON.parse(line));
  }
  await OpenFeature.close();
}

// The provider leaves its stream open.
main().then(() => process.exit(0));
