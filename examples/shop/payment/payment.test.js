'use strict';
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Payments } = require('./payment.js');

function fresh() {
  return path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'payment-')), 'payment.jsonl');
}

test('an order is charged once, also when it is asked twice at the same time', async () => {
  const file = fresh();
  const payments = new Payments(file);
  const ask = { order: 'o1', member: 'm1', amount: 500 };
  const answers = await Promise.all([payments.charge(ask), payments.charge(ask), payments.charge(ask)]);
  for (const [status] of answers) assert.strictEqual(status, 200);
  assert.strictEqual(fs.readFileSync(file, 'utf8').trim().split('\n').length, 1);
});

test('a declined card stays declined', async () => {
  const payments = new Payments(fresh());
  assert.strictEqual((await payments.charge({ order: 'o1', amount: 5, card: 'declined' }))[0], 402);
  assert.strictEqual((await payments.charge({ order: 'o1', amount: 5, card: 'good' }))[0], 402);
});

test('what was charged is refunded once, and nothing else', async () => {
  const payments = new Payments(fresh());
  assert.strictEqual((await payments.refund({ order: 'o1' }))[0], 404);
  await payments.charge({ order: 'o1', amount: 5 });
  assert.strictEqual((await payments.refund({ order: 'o1' }))[0], 200);
  assert.strictEqual((await payments.refund({ order: 'o1' }))[0], 200);
  assert.strictEqual(payments.refunds.size, 1);
});

test('everything is there after a restart, and a torn last line is cut', async () => {
  const file = fresh();
  const before = new Payments(file);
  await before.charge({ order: 'o1', amount: 5 });
  await before.refund({ order: 'o1' });
  fs.appendFileSync(file, '{"kind":"charge","order":"o2","am');
  const after = new Payments(file);
  assert.strictEqual(after.charges.size, 1);
  assert.strictEqual(after.refunds.size, 1);
  await after.charge({ order: 'o3', amount: 7 });
  assert.strictEqual(new Payments(file).charges.size, 2);
});

test('two instances with one journal agree, also when both are asked at once', async () => {
  const file = fresh();
  const [old, fresher] = [new Payments(file, 'old'), new Payments(file, 'new')];
  await old.charge({ order: 'o1', amount: 5 });
  assert.strictEqual((await fresher.refund({ order: 'o1' }))[0], 200);
  assert.strictEqual((await old.refund({ order: 'o1' }))[0], 200);
  assert.strictEqual(fs.readFileSync(file, 'utf8').trim().split('\n').length, 2);
  const answers = await Promise.all([
    old.charge({ order: 'o2', amount: 7 }), fresher.charge({ order: 'o2', amount: 7, card: 'declined' })]);
  assert.deepStrictEqual(answers[0], answers[1]);
  assert.deepStrictEqual(await new Payments(file).charge({ order: 'o2', amount: 7 }), answers[0]);
});

test('a journal of more than one chunk is read whole', async () => {
  const file = fresh();
  const line = (n) => JSON.stringify({ kind: 'charge', order: `o${n}`, member: 'm', amount: 5, outcome: 'charged' });
  fs.writeFileSync(file, Array.from({ length: 30000 }, (_, n) => line(n) + '\n').join(''));
  assert.ok(fs.statSync(file).size > 2 << 20);
  assert.strictEqual(new Payments(file).charges.size, 30000);
});
