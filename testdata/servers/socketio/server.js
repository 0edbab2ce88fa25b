'use strict';

// Socket.IO at its usual path, over WebSocket: every socket that connects to the main namespace gets a `tick` for each event. Its
// pings, PING ms apart (environment), must be answered within as long again.

const http = require('node:http');
const { Server } = require('socket.io');
const { WebSocket } = require('ws');
const { Feed } = require('../lib/feed.js');
const { Ledger } = require('../lib/ledger.js');
const { serve } = require('../lib/serve.js');

const ledger = new Ledger();
const feed = new Feed();

const server = http.createServer((request, response) => {
  if (request.url !== '/truth') return response.writeHead(404).end();
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(ledger));
});

const ping = Number(process.env.PING ?? 25_000);
const io = new Server(server, { transports: ['websocket'], pingInterval: ping, pingTimeout: ping });

io.on('connection', (socket) => {
  const subscriber = ledger.open(socket.request, 'ws');
  const stop = feed.follow(null, (event) => socket.emit('tick', event));
  // Counted where they are written: what is emitted waits until then, and is dropped once the client has closed.
  socket.conn.on('flush', (packets) => {
    if (socket.conn.transport.socket.readyState !== WebSocket.OPEN) return;
    for (const { data } of packets) {
      if (/^2\["tick",/.test(data)) subscriber.handed(JSON.parse(data.slice(1))[1].seq);
    }
  });
  socket.on('disconnect', () => {
    stop();
    subscriber.close();
  });
});

feed.tick(() => ({ sent: Date.now() }));
serve(server);
