// ioredis: pipelines, automatic pipelining, transactions with WATCH, commands that wait. node-redis: the same server in RESP3.
// Usage: pipelines.mjs PORT FOLDER

import assert from "node:assert/strict";
import Redis from "ioredis";
import { createClient } from "redis";

const port = Number(process.argv[2]);
const redis = new Redis(port);

// One pipeline of many commands, with an error in its midst that hurts only itself.
const pipeline = redis.pipeline();
for (let number = 0; number < 5000; number++) pipeline.set(`key:${number}`, number);
pipeline.lpush("key:1", "x");
pipeline.mget(...Array.from({ length: 5000 }, (_, number) => `key:${number}`));
const replies = await pipeline.exec();
assert.ok(replies.slice(0, 5000).every(([error, reply]) => error === null && reply === "OK"));
assert.match(replies[5000][0].message, /^WRONGTYPE /);
assert.deepEqual(replies[5001][1], Array.from({ length: 5000 }, (_, number) => String(number)));

// Commands of one turn of the event loop go out as one pipeline.
const automatic = new Redis(port, { enableAutoPipelining: true });
const counts = await Promise.all(Array.from({ length: 1000 }, () => automatic.incr("count")));
assert.deepEqual(counts, Array.from({ length: 1000 }, (_, index) => index + 1));

// Ten clients take from one account with WATCH until it is empty: no unit is taken twice.
await redis.set("account", 100);
async function taker() {
  const own = new Redis(port);
  let taken = 0;
  for (;;) {
    await own.watch("account");
    const rest = Number(await own.get("account"));
    if (rest === 0) break;
    if (await own.multi().decr("account").rpush("taken", rest).exec()) taken++;
  }
  own.disconnect();
  return taken;
}
const taken = await Promise.all(Array.from({ length: 10 }, taker));
assert.equal(taken.reduce((sum, each) => sum + each), 100);
assert.deepEqual(await redis.lrange("taken", 0, -1), Array.from({ length: 100 }, (_, index) => String(100 - index)));

// Waiting clients are served in their order; the wait of one does not hold up another connection.
const waiters = [];
for (let number = 0; number < 5; number++) {
  const waiter = new Redis(port);
  await waiter.ping();
  waiters.push({ waiter, reply: waiter.blpop("jobs", 10) });
  await new Promise((resolve) => setTimeout(resolve, 50));
}
await redis.rpush("jobs", 0, 1, 2, 3, 4);
for (const [number, { waiter, reply }] of waiters.entries()) {
  assert.deepEqual(await reply, ["jobs", String(number)]);
  waiter.disconnect();
}
const began = Date.now();
assert.equal(await automatic.brpop("nothing", 0.3), null);
assert.ok(Date.now() - began >= 290);

// A stream with a group, in node-redis and RESP3.
const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP: 3 });
await client.connect();
await client.xGroupCreate("log", "readers", "$", { MKSTREAM: true });
const reading = client.duplicate();
await reading.connect();
const read = reading.xReadGroup("readers", "one", { key: "log", id: ">" }, { BLOCK: 10000 });
await new Promise((resolve) => setTimeout(resolve, 100));
const id = await client.xAdd("log", "*", { what: "happened" });
const message = Object.values({ ...(await read) })[0];
assert.ok(JSON.stringify(message).includes(id) && JSON.stringify(message).includes("happened"));
assert.equal(await client.xAck("log", "readers", id), 1);
await client.hSet("map", { first: "1", second: "2" });
assert.deepEqual({ ...(await client.hGetAll("map")) }, { first: "1", second: "2" });
await client.zAdd("scores", [{ value: "a", score: 1.5 }, { value: "b", score: Infinity }]);
assert.deepEqual(await client.zRangeWithScores("scores", 0, -1), [{ value: "a", score: 1.5 }, { value: "b", score: Infinity }]);
const [first, second] = await client.multi().set("a", "1").get("a").exec();
assert.deepEqual([first, second], ["OK", "1"]);
const scanned = new Set();
for await (const keys of client.scanIterator({ MATCH: "key:*", COUNT: 500 })) [keys].flat().forEach((key) => scanned.add(key));
assert.equal(scanned.size, 5000);

for (const each of [client, reading]) each.destroy();
for (const each of [redis, automatic]) each.disconnect();
console.log("ioredis and node-redis: pipelines of 5000, WATCH, waiting clients in order, streams, scans");
