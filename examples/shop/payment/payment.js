'use strict';
// payment: charges and refunds, each once for an order however often it is asked. Answers requests on the
// bus (payment.charge, payment.refund), which reach it as POSTs. The card 'declined' is always declined.
const http = require('node:http');
const { Journal } = require('./journal.js');

class Payments {
  constructor(path, instance = process.env.DURE_INSTANCE || String(process.pid)) {
    this.instance = instance; // stands in each line that it writes
    this.charges = new Map(); // order -> {order, member, amount, outcome}
    this.refunds = new Map(); // order -> {order, amount}
    this.underway = new Map(); // what is on its way to the disk, so that a repeat waits for it
    this.journal = new Journal(path, (record) => this.apply(record));
  }

  // The first line about an order counts. A second one can only come from another instance that was asked
  // at the same moment; whoever wrote it answers with the first one, too.
  apply(record) {
    const book = record.kind === 'charge' ? this.charges : this.refunds;
    if (!book.has(record.order)) book.set(record.order, record);
  }

  async record(record) {
    const key = `${record.kind} ${record.order}`;
    if (!this.underway.has(key)) {
      const stored = this.journal.append({ ...record, by: this.instance });
      this.underway.set(key, stored.finally(() => this.underway.delete(key)));
    }
    await this.underway.get(key);
  }

  async charge({ order, member, amount, card }) {
    if (typeof order !== 'string' || !Number.isInteger(amount) || amount <= 0) return [400, { detail: 'not a charge' }];
    this.journal.catchUp();
    if (!this.charges.has(order)) {
      const outcome = card === 'declined' ? 'declined' : 'charged';
      await this.record({ kind: 'charge', order, member, amount, outcome });
    }
    const charge = this.charges.get(order);
    return [charge.outcome === 'charged' ? 200 : 402, { order, amount: charge.amount, outcome: charge.outcome }];
  }

  async refund({ order }) {
    this.journal.catchUp();
    const charge = this.charges.get(order);
    if (!charge || charge.outcome !== 'charged') return [404, { detail: `${order} was not charged` }];
    if (!this.refunds.has(order)) await this.record({ kind: 'refund', order, amount: charge.amount });
    return [200, { order, amount: charge.amount, outcome: 'refunded' }];
  }
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const value = JSON.parse(Buffer.concat(parts).toString());
  if (value === null || typeof value !== 'object') throw new Error('not an object');
  return value;
}

async function handle(payments, request) {
  if (request.url === '/health') return [200, { status: 'up' }];
  if (request.method !== 'POST') return [405, { detail: 'POST a charge or a refund' }];
  let asked;
  try {
    asked = await body(request);
  } catch {
    return [400, { detail: 'the body is not a JSON object' }];
  }
  if (request.url === '/charge') return payments.charge(asked);
  if (request.url === '/refund') return payments.refund(asked);
  return [404, { detail: 'there is nothing here' }];
}

function serve(payments) {
  return http.createServer(async (request, response) => {
    let answer;
    try {
      answer = await handle(payments, request);
    } catch (error) {
      console.error(`payment: ${error.message}`);
      answer = [500, { detail: 'the payment could not be recorded' }];
    }
    const text = JSON.stringify(answer[1]);
    response.writeHead(answer[0], { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
    response.end(text);
  });
}

if (require.main === module) {
  const path = process.env.DATABASE_URL.replace(/^sqlite:\/\//, '');
  const server = serve(new Payments(path));
  server.keepAliveTimeout = 600000;
  server.listen(Number(process.env.PORT), process.env.HOST || '127.0.0.1', () => {
    console.log(`payment: on port ${server.address().port}`);
  });
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

module.exports = { Payments, serve };
