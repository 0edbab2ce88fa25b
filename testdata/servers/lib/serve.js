'use strict';

// Listens on 127.0.0.1:PORT (environment; 0 or none picks a free port), says so in one line,
// and ends on SIGTERM or with the parent process, when stdin reaches its end.
function serve(server) {
  process.once('SIGTERM', () => process.exit());
  process.stdin.once('end', () => process.exit()).resume();
  server.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 0), backlog: 4096 }, () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
  });
}

// Ends a streaming response, complete with its last chunk, when the client closes its sending half.
// Node itself would end the socket there and leave the response cut off, so this listener has to come
// before Node's own. `done` is called once the stream takes no more events, however it ended.
function endWithClient(request, response, done) {
  const end = () => {
    done();
    response.end();
  };
  request.socket.prependOnceListener('end', end);
  response.once('close', () => {
    request.socket.off('end', end);
    done();
  });
}

module.exports = { serve, endWithClient };
