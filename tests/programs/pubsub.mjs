// ioredis: a subscriber whose connection is cut comes back by itself and subscribes again; nothing is lost after that.
// Usage: pubsub.mjs PORT FOLDER

import assert from "node:assert/strict";
import { once } from "node:events";
import Redis from "ioredis";

const port = Number(process.argv[2]);
const publisher = new Redis(port);
const subscriber = new Redis(port, { retryStrategy: () => 50 });

await subscriber.subscribe("news", "sport");
await subscriber.psubscribe("weather.*");

let received = [];
subscriber.on("message", (channel, text) => received.push([channel, text]));
subscriber.on("pmessage", (pattern, channel, text) => received.push([pattern, channel, text]));

async function until(condition, what) {
  const deadline = Date.now() + 10000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function round(name) {
  received = [];
  const expected = [];
  const sends = [];
  for (let number = 0; number < 200; number++) {
    for (const channel of ["news", "weather.north", "nobody", "sport"]) {
      sends.push(publisher.publish(channel, `${name} ${number}`));
    }
    expected.push(["news", `${name} ${number}`], ["weather.*", "weather.north", `${name} ${number}`]);
    expected.push(["sport", `${name} ${number}`]);
  }
  const receivers = await Promise.all(sends);
  assert.deepEqual(receivers, sends.map((_, index) => (index % 4 === 2 ? 0 : 1)));
  await until(() => received.length >= expected.length, `messages of ${name}`);
  assert.deepEqual(received, expected);
}

await round("first");

const ready = once(subscriber, "ready");
assert.equal(await publisher.client("KILL", "TYPE", "pubsub"), 1);
await ready;
await until(async () => (await publisher.pubsub("NUMSUB", "news", "sport")).join() === "news,1,sport,1", "subscriptions");
await until(async () => (await publisher.pubsub("NUMPAT")) === 1, "the pattern");
await round("second");

await subscriber.unsubscribe("news");
await subscriber.punsubscribe("weather.*");
assert.equal(await publisher.publish("news", "late"), 0);
assert.deepEqual(await publisher.pubsub("CHANNELS"), ["sport"]);

subscriber.disconnect();
publisher.disconnect();
console.log("ioredis: 1200 messages in order, a cut subscriber subscribes again");
