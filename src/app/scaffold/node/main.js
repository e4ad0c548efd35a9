'use strict';
// @NAME@: GET /@NAME@.
const http = require('node:http');

// [status, what to say]
function answer(path) {
  if (path === '/health') return [200, { status: 'up' }];
  if (path === '/@NAME@') return [200, { hello: 'from @NAME@' }];
  return [404, { detail: 'there is nothing here' }];
}

const server = http.createServer((request, response) => {
  const [status, value] = answer(request.url.split('?')[0]);
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
});

if (require.main === module) {
  server.listen(Number(process.env.PORT), '127.0.0.1');
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

module.exports = { answer };
