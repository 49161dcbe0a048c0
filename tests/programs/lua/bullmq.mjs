// BullMQ: results, retries with a growing pause, delays, a rate limit, priorities, and a worker process that is killed in a job.
// Usage: bullmq.mjs PORT FOLDER            it starts itself as the worker that dies: bullmq.mjs PORT victim

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]), maxRetriesPerRequest: null };
const settings = { connection, lockDuration: 1500, stalledInterval: 700 };
const opened = [];
const open = (thing) => (opened.push(thing), thing);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function results() {
  const queue = open(new Queue("plain", { connection }));
  const events = open(new QueueEvents("plain", { connection }));
  await events.waitUntilReady();
  const ran = new Map();
  open(new Worker("plain", async (job) => {
    ran.set(job.id, (ran.get(job.id) ?? 0) + 1);
    return job.data.number * 2;
  }, { ...settings, concurrency: 8 }));
  const jobs = await queue.addBulk([...Array(500).keys()].map((number) => ({ name: "double", data: { number } })));
  const values = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 30000)));
  assert.deepEqual(values, [...Array(500).keys()].map((number) => number * 2));
  assert.ok(ran.size === 500 && [...ran.values()].every((times) => times === 1), "each job ran once");
  const counts = await queue.getJobCounts("completed", "failed", "wait", "active");
  assert.deepEqual(counts, { completed: 500, failed: 0, wait: 0, active: 0 });
}

async function retries() {
  const queue = open(new Queue("retries", { connection }));
  const events = open(new QueueEvents("retries", { connection }));
  await events.waitUntilReady();
  const times = [];
  open(new Worker("retries", async (job) => {
    times.push(Date.now());
    if (job.name === "never" || job.attemptsMade < 2) throw new Error("not yet");
    return "at last";
  }, settings));
  const options = { attempts: 3, backoff: { type: "exponential", delay: 200 } };
  const job = await queue.add("third", {}, options);
  assert.equal(await job.waitUntilFinished(events, 20000), "at last");
  assert.equal(times.length, 3);
  assert.ok(times[1] - times[0] >= 195 && times[2] - times[1] >= 395, `pauses ${times[1] - times[0]}, ${times[2] - times[1]}`);
  const never = await queue.add("never", {}, { attempts: 2 });
  await assert.rejects(never.waitUntilFinished(events, 20000), /not yet/);
  assert.equal((await queue.getFailed()).length, 1);
}

async function delays() {
  const queue = open(new Queue("delays", { connection }));
  const order = [];
  const began = Date.now();
  await queue.add("late", {}, { delay: 1200 });
  await queue.add("soon", {}, { delay: 400 });
  await queue.add("low", {}, { priority: 9 });
  await queue.add("high", {}, { priority: 1 });
  assert.equal(await queue.getDelayedCount(), 2);
  open(new Worker("delays", async (job) => { order.push([job.name, Date.now() - began]); }, settings));
  while (order.length < 4) {
    assert.ok(Date.now() - began < 20000, `delayed jobs: ${order}`);
    await pause(20);
  }
  assert.equal(order.map(([name]) => name).filter((name) => ["low", "high"].includes(name)).join(), "high,low");
  const at = Object.fromEntries(order);
  assert.ok(at.soon >= 400 && at.late >= 1200 && at.late > at.soon, JSON.stringify(at));
}

async function limit() {
  const queue = open(new Queue("limited", { connection }));
  const times = [];
  await queue.addBulk([...Array(12).keys()].map((number) => ({ name: "tick", data: { number } })));
  const began = Date.now();
  open(new Worker("limited", async () => { times.push(Date.now()); }, { ...settings, concurrency: 12, limiter: { max: 4, duration: 500 } }));
  while (times.length < 12) {
    assert.ok(Date.now() - began < 20000, `rate limit: ${times.length} jobs`);
    await pause(20);
  }
  assert.ok(times[11] - times[0] >= 900, `12 jobs at 4 in 500 ms took ${times[11] - times[0]} ms`);
}

async function flow() {
  const producer = open(new FlowProducer({ connection }));
  const events = open(new QueueEvents("parents", { connection }));
  await events.waitUntilReady();
  open(new Worker("children", async (job) => job.data.number, settings));
  open(new Worker("parents", async (job) => Object.values(await job.getChildrenValues()).reduce((sum, each) => sum + each, 0), settings));
  const children = [...Array(10).keys()].map((number) => ({ name: "child", queueName: "children", data: { number } }));
  const { job } = await producer.add({ name: "sum", queueName: "parents", children });
  assert.equal(await job.waitUntilFinished(events, 20000), 45);
}

async function killed() {
  const queue = open(new Queue("killed", { connection }));
  const events = open(new QueueEvents("killed", { connection }));
  await events.waitUntilReady();
  let stalled = 0;
  events.on("stalled", () => stalled++);
  const job = await queue.add("survives", {});
  const victim = fork(fileURLToPath(import.meta.url), [process.argv[2], "victim"]);
  await once(victim, "message");
  assert.equal(await job.getState(), "active");
  victim.kill("SIGKILL");
  await once(victim, "exit");
  open(new Worker("killed", async (job) => `attempt ${job.stalledCounter}`, settings));
  assert.equal(await job.waitUntilFinished(events, 30000), "attempt 1");
  assert.equal(stalled, 1);
}

if (process.argv[3] === "victim") {
  new Worker("killed", async () => { process.send("begun"); await pause(60000); }, settings);
} else {
  for (const part of [results, retries, delays, limit, flow, killed]) await part();
  for (const thing of opened.reverse()) await thing.close();
  console.log("BullMQ: 500 jobs once each, retries, delays, priorities, a rate limit, a flow, a killed worker's job");
}
