'use strict';

// One GraphQL schema over two protocols: graphql-ws at /graphql and graphql-sse at /graphql/stream.

const { on } = require('node:events');
const http = require('node:http');
const { GraphQLFloat, GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema } = require('graphql');
const { createHandler } = require('graphql-sse/lib/use/http');
const { useServer } = require('graphql-ws/use/ws');
const { WebSocketServer } = require('ws');
const { Feed } = require('../lib/feed.js');
const { Ledger } = require('../lib/ledger.js');
const { serve, endWithClient } = require('../lib/serve.js');

const ledger = new Ledger();
const feed = new Feed();

const Tick = new GraphQLObjectType({
  name: 'Tick',
  fields: {
    seq: { type: new GraphQLNonNull(GraphQLInt) },
    sent: { type: new GraphQLNonNull(GraphQLFloat), description: 'milliseconds since the epoch' },
  },
});

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: 'Query', fields: { now: { type: GraphQLFloat, resolve: () => Date.now() } } }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: { tick: { type: Tick, subscribe: () => on(feed, 'event'), resolve: ([event]) => event } },
  }),
});

const stream = createHandler({ schema });

// Counts results where they are written: graphql-sse queues them, so its own onNext hook is too early.
function countWrites(response, subscriber) {
  const write = response.write.bind(response);
  response.write = (chunk, done) => {
    if (response.writableEnded) return done(); // the stream was ended under graphql-sse's hands
    const [, data] = /^event: next\ndata: (.*)\n\n$/.exec(chunk) ?? [];
    if (data) subscriber.handed(JSON.parse(data).data?.tick?.seq);
    return write(chunk, done);
  };
}

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/truth') {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(ledger));
  } else if (pathname === '/graphql/stream') {
    const subscriber = ledger.open(request, 'sse');
    countWrites(response, subscriber);
    endWithClient(request, response, subscriber.close);
    stream(request, response).catch(() => response.destroy()); // a write failed: the client is gone
  } else {
    response.writeHead(404).end();
  }
});

const sockets = new WebSocketServer({ server, path: '/graphql', maxPayload: 1 << 20 });
const subscribers = new WeakMap();

sockets.on('connection', (socket, request) => {
  const subscriber = ledger.open(request, 'ws');
  subscribers.set(socket, subscriber);
  socket.on('close', subscriber.close);
});

useServer(
  {
    schema,
    onNext: ({ extra: { socket } }, id, payload, args, { data }) => {
      if (socket.readyState === socket.OPEN) subscribers.get(socket).handed(data?.tick?.seq);
    },
  },
  sockets,
);

feed.tick(() => ({ sent: Date.now() }));
serve(server);
