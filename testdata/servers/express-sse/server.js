'use strict';

// Server-Sent Events on Express: GET /events, and POST /notify to publish to everyone.

const http = require('node:http');
const express = require('express');
const { Feed } = require('../lib/feed.js');
const { Ledger } = require('../lib/ledger.js');
const { serve, endWithClient } = require('../lib/serve.js');

const heartbeat = Number(process.env.HEARTBEAT ?? 15_000); // ms

const app = express();
const ledger = new Ledger();
const feed = new Feed();

app.get('/events', (request, response) => {
  response.set({
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache',
    Connection: 'keep-alive',
    'X-Accel-Buffering': 'no',
  });
  response.write(': connected\n\n');
  response.write('data: {"type":"connected"}\n\n');

  const subscriber = ledger.open(request, 'sse');
  const beat = setInterval(() => response.write(': heartbeat\n\n'), heartbeat);
  const stop = feed.follow(request.get('Last-Event-ID'), (event) => {
    response.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`);
    subscriber.handed(event.seq);
  });
  endWithClient(request, response, () => {
    clearInterval(beat);
    stop();
    subscriber.close();
  });
});

app.post('/notify', express.json(), (request, response) => {
  feed.publish({ ...request.body, timestamp: Date.now() });
  response.sendStatus(204);
});

app.get('/truth', (request, response) => response.json(ledger));

feed.tick(() => ({ sent: new Date().toISOString() }));
serve(http.createServer(app));
