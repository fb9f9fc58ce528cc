// JavaScript's provider for flagd, driven line by line; see the driver in main.rs.
//
// client.cjs rpc|in-process PORT: reads requests, writes responses and events, one per line of JSON.
// Not an ES module, so that NODE_PATH says where its packages are.

const { createInterface } = require('node:readline');
const { FlagdProvider } = require('@openfeature/flagd-provider');
const { OpenFeature, ProviderEvents } = require('@openfeature/server-sdk');

const EVENTS = {
  [ProviderEvents.Ready]: 'ready',
  [ProviderEvents.Stale]: 'stale',
  [ProviderEvents.Error]: 'error',
  [ProviderEvents.ConfigurationChanged]: 'changed',
};

const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function answer(client, { key, type, default: otherwise, context = {} }) {
  const ask = {
    boolean: client.getBooleanDetails,
    string: client.getStringDetails,
    integer: client.getNumberDetails,
    float: client.getNumberDetails,
    object: client.getObjectDetails,
  }[type];
  const details = await ask.call(client, key, otherwise, context);
  write({
    value: details.value,
    variant: details.variant ?? null,
    reason: details.reason,
    error: details.errorCode ?? null,
    metadata: details.flagMetadata ?? {},
  });
}

async function main() {
  const [resolverType, port] = process.argv.slice(2);
  const client = OpenFeature.getClient();
  for (const [event, name] of Object.entries(EVENTS)) {
    client.addHandler(event, (details) => {
      write({ event: name, flags: details?.flagsChanged ?? [] });
    });
  }
  await OpenFeature.setProviderAndWait(
    new FlagdProvider({ host: '127.0.0.1', port: Number(port), resolverType }),
  );
  for await (const line of createInterface({ input: process.stdin })) {
    await answer(client, JSON.parse(line));
  }
  await OpenFeature.close();
}

main();
