// rate-limiter-flexible: points per window over several processes' clients, blocking, rewards, a queue, a burst.
// Usage: limiter.mjs PORT FOLDER

import assert from "node:assert/strict";
import Redis from "ioredis";
import limiters from "rate-limiter-flexible";

const { BurstyRateLimiter, RateLimiterQueue, RateLimiterRedis } = limiters;
const clients = Array.from({ length: 4 }, () => new Redis(Number(process.argv[2]), { enableOfflineQueue: true }));
const make = (options, index = 0) => new RateLimiterRedis({ storeClient: clients[index], ...options });
const tally = (settled) => settled.filter(({ status }) => status === "fulfilled").length;

// 100 requests over four connections at 30 points: exactly 30 pass, and the refused ones learn when to come again.
const shared = clients.map((_, index) => make({ keyPrefix: "shared", points: 30, duration: 2 }, index));
const settled = await Promise.allSettled(Array.from({ length: 100 }, (_, number) => shared[number % 4].consume("user")));
assert.equal(tally(settled), 30);
const refused = settled.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
assert.ok(refused.every(({ msBeforeNext, remainingPoints }) => msBeforeNext > 0 && msBeforeNext <= 2000 && remainingPoints === 0));
const remaining = settled.filter(({ status }) => status === "fulfilled").map(({ value }) => value.remainingPoints);
assert.deepEqual(remaining.sort((a, b) => a - b), [...Array(30).keys()]);
await new Promise((resolve) => setTimeout(resolve, 2100));
assert.equal((await shared[0].consume("user")).remainingPoints, 29);

const blocking = make({ keyPrefix: "blocking", points: 2, duration: 1, blockDuration: 5 });
await blocking.consume("user", 2);
await assert.rejects(blocking.consume("user"), ({ msBeforeNext }) => msBeforeNext > 4000);
await blocking.delete("user");
assert.equal((await blocking.penalty("user", 1)).consumedPoints, 1);
assert.equal((await blocking.reward("user", 1)).consumedPoints, 0);
assert.equal((await blocking.get("user")).remainingPoints, 2);
assert.equal(await blocking.get("stranger"), null);

const queue = new RateLimiterQueue(make({ keyPrefix: "queue", points: 2, duration: 1 }), { maxQueueSize: 10 });
const began = Date.now();
await Promise.all(Array.from({ length: 5 }, () => queue.removeTokens(1)));
assert.ok(Date.now() - began >= 1500, `5 tokens at 2 a second took ${Date.now() - began} ms`);

const bursty = new BurstyRateLimiter(make({ keyPrefix: "even", points: 2, duration: 1 }), make({ keyPrefix: "burst", points: 5, duration: 10 }));
assert.equal(tally(await Promise.allSettled(Array.from({ length: 10 }, () => bursty.consume("user")))), 7);

clients.forEach((client) => client.disconnect());
console.log("rate-limiter-flexible: 30 of 100 over four connections, blocks, rewards, a queue, a burst");
