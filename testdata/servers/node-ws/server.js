'use strict';

// WebSocket on the `ws` package: /echo, /chat and /feed, each with a welcome message.

const http = require('node:http');
const { WebSocket, WebSocketServer } = require('ws');
const { Feed } = require('../lib/feed.js');
const { Ledger } = require('../lib/ledger.js');
const { serve } = require('../lib/serve.js');

const ledger = new Ledger();
const feed = new Feed();
const chatters = new Set();

const welcome = { type: 'system', text: 'welcome' };

function send(socket, subscriber, message, seq) {
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(message);
  subscriber.handed(seq);
}

function echo(socket, subscriber) {
  socket.on('message', (data, binary) => send(socket, subscriber, binary ? data : data.toString()));
}

function chat(socket, subscriber) {
  const deliver = (message) => send(socket, subscriber, message);
  chatters.add(deliver);
  socket.on('close', () => chatters.delete(deliver));
  socket.on('message', (data) => {
    let received;
    try {
      received = JSON.parse(data);
    } catch {
      socket.close(1007, 'not JSON');
      return;
    }
    const { user = 'anonymous', text = '' } = Object(received);
    const message = JSON.stringify({ type: 'message', user, text, timestamp: Date.now() });
    for (const deliver of chatters) deliver(message);
  });
}

function follow(socket, subscriber, query) {
  const stop = feed.follow(query.get('after'), (event) => {
    send(socket, subscriber, JSON.stringify(event), event.seq);
  });
  socket.on('close', stop);
}

const routes = { '/echo': echo, '/chat': chat, '/feed': follow };

const server = http.createServer((request, response) => {
  if (request.url !== '/truth') return response.writeHead(404).end();
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(ledger));
});

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true, maxPayload: 1 << 20 });

server.on('upgrade', (request, connection, head) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const route = routes[pathname];
  if (!route) return connection.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  sockets.handleUpgrade(request, connection, head, (socket) => {
    const subscriber = ledger.open(request, 'ws');
    socket.on('close', subscriber.close);
    socket.on('error', () => {}); // what follows is 'close'
    socket.send(JSON.stringify(welcome));
    route(socket, subscriber, searchParams);
  });
});

feed.tick((seq) => ({ sent: Date.now(), text: `event ${seq}` }));
serve(server);
