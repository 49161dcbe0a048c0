// redlock: ten clients add to a counter under a lock, by reading and writing; a lock runs out, is extended, is refused.
// Usage: redlock.mjs PORT FOLDER

import assert from "node:assert/strict";
import Redis from "ioredis";
import Redlock from "redlock";

const port = Number(process.argv[2]);
const plain = new Redis(port);
const redises = [];

async function adder() {
  const redis = new Redis(port);
  redises.push(redis);
  const redlock = new Redlock([redis], { retryCount: 1000, retryDelay: 10, retryJitter: 10 });
  for (let turn = 0; turn < 20; turn++) {
    const lock = await redlock.lock("locks:counter", 10000);
    const value = Number((await redis.get("counter")) ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 1));
    await redis.set("counter", value + 1);
    await lock.unlock();
  }
}
await Promise.all(Array.from({ length: 10 }, adder));
assert.equal(await plain.get("counter"), "200");
assert.equal(await plain.exists("locks:counter"), 0);

const redlock = new Redlock([plain], { retryCount: 0 });
const first = await redlock.lock("locks:one", 300);
await assert.rejects(redlock.lock("locks:one", 300), (error) => error.name === "LockError");
const longer = await first.extend(600);
assert.ok((await plain.pttl("locks:one")) > 300);
await new Promise((resolve) => setTimeout(resolve, 700));
const second = await redlock.lock("locks:one", 5000);
await assert.rejects(longer.unlock(), (error) => error.name === "LockError", "a lock that ran out is not another's to free");
await second.unlock();

// Several resources in one lock: all or none.
const both = await redlock.lock(["locks:a", "locks:b"], 5000);
await assert.rejects(redlock.lock(["locks:b", "locks:c"], 5000));
assert.equal(await plain.exists("locks:c"), 0);
await both.unlock();
assert.equal(await plain.exists("locks:a", "locks:b"), 0);

[plain, ...redises].forEach((redis) => redis.disconnect());
console.log("redlock: 200 additions under a lock, expiry, extension, several resources");
