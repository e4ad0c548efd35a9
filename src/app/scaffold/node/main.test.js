'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { answer } = require('./main.js');

test('it says hello', () => assert.deepStrictEqual(answer('/@NAME@'), [200, { hello: 'from @NAME@' }]));
test('what is not there', () => assert.strictEqual(answer('/other')[0], 404));
