// Socket.IO's Redis adapter: two server processes, whose rooms, acknowledgements and lists of sockets go through Redis.
// Usage: socketio.mjs PORT FOLDER            the test; it starts itself twice as a server: socketio.mjs PORT server

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { createServer } from "node:http";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createAdapter } from "@socket.io/redis-adapter";
import Redis from "ioredis";
import { Server } from "socket.io";
import { io } from "socket.io-client";

const port = Number(process.argv[2]);

async function serve() {
  const publisher = new Redis(port);
  const http = createServer();
  const server = new Server(http, { adapter: createAdapter(publisher, publisher.duplicate()) });
  server.on("connection", (socket) => {
    socket.on("join", async (room, done) => { await socket.join(room); done(); });
    socket.on("say", (room, text) => server.to(room).emit("said", text));
    socket.on("ask", async (room, question, done) => done(await server.timeout(5000).to(room).emitWithAck("question", question)));
    socket.on("count", async (room, done) => done((await server.in(room).fetchSockets()).length));
    socket.on("kick", (room) => server.in(room).disconnectSockets());
  });
  http.listen(0, "127.0.0.1", () => process.send(http.address().port));
  process.on("disconnect", () => process.exit(0));
}

async function until(condition, what) {
  const deadline = Date.now() + 15000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function test() {
  const servers = [0, 1].map(() => fork(fileURLToPath(import.meta.url), [String(port), "server"]));
  const addresses = await Promise.all(servers.map(async (server) => (await once(server, "message"))[0]));
  const watcher = new Redis(port);
  await until(async () => (await watcher.pubsub("NUMSUB", "socket.io-request#/#"))[1] === 2, "both servers subscribed");

  const said = [];
  const clients = await Promise.all([...Array(10).keys()].map(async (number) => {
    const client = io(`http://127.0.0.1:${addresses[number % 2]}`, { transports: ["websocket"] });
    client.on("said", (text) => said.push([number, text]));
    client.on("question", (question, answer) => answer(`${question} ${number}`));
    await once(client, "connect");
    await client.emitWithAck("join", number < 6 ? "low" : "high");
    return client;
  }));

  // Clients 0 to 5 sit in the room on both servers, and each gets every message once, in order.
  for (let number = 0; number < 100; number++) clients[7].emit("say", "low", number);
  await until(() => said.length >= 600, "600 messages");
  assert.equal(said.length, 600);
  for (let number = 0; number < 6; number++) {
    assert.deepEqual(said.filter(([who]) => who === number).map(([, text]) => text), [...Array(100).keys()]);
  }

  const answers = await clients[0].emitWithAck("ask", "high", "who");
  assert.deepEqual(answers.sort(), ["who 6", "who 7", "who 8", "who 9"]);
  assert.equal(await clients[0].emitWithAck("count", "low"), 6);
  assert.equal(await clients[1].emitWithAck("count", "high"), 4);

  const gone = clients.slice(6).map((client) => once(client, "disconnect"));
  clients[0].emit("kick", "high");
  await Promise.all(gone);
  await until(async () => (await clients[0].emitWithAck("count", "high")) === 0, "the room is empty");
  assert.ok(clients.slice(0, 6).every((client) => client.connected));

  clients.forEach((client) => client.disconnect());
  watcher.disconnect();
  servers.forEach((server) => server.disconnect());
  await Promise.all(servers.map((server) => once(server, "exit")));
  console.log("Socket.IO: two servers, 600 messages to a room, acknowledgements, sockets listed and cut over both");
}

await (process.argv[3] === "server" ? serve() : test());
