// JavaScript's provider for flagd. bulk.cjs PORT SELECTOR: for each line of JSON with features and
// ids, a line with a string for each feature: whether it is on, for each id. An id may be null: none.
// Not an ES module, so that NODE_PATH says where its packages are.

const { createInterface } = require('node:readline');
const { FlagdProvider } = require('@openfeature/flagd-provider');
const { OpenFeature } = require('@openfeature/server-sdk');

// As many evaluations are under way at a time.
const BATCH = 64;

async function bits(client, feature, ids) {
  let bits = '';
  for (let from = 0; from < ids.length; from += BATCH) {
    const batch = ids.slice(from, from + BATCH).map(async (targetingKey) => {
      const context = targetingKey === null ? {} : { targetingKey };
      const details = await client.getBooleanDetails(feature, false, context);
      return details.errorCode ? 'E' : String(Number(details.value));
    });
    bits += (await Promise.all(batch)).join('');
  }
  return bits;
}

async function main() {
  const [port, selector] = process.argv.slice(2);
  const client = OpenFeature.getClient();
  await OpenFeature.setProviderAndWait(
    new FlagdProvider({
      host: '127.0.0.1',
      port: Number(port),
      selector: selector || undefined,
      resolverType: 'rpc',
      deadlineMs: 20000,
    }),
  );
  for await (const line of createInterface({ input: process.stdin })) {
    const { features, ids } = JSON.parse(line);
    const answers = [];
    for (const feature of features) answers.push(await bits(client, feature, ids));
    process.stdout.write(`${JSON.stringify(answers)}\n`);
  }
  await OpenFeature.close();
}

main();
