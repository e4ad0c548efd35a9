'use strict';
// journal: payment's database, one file of JSON lines that is only appended to. A line counts when it is
// on the disk: append() resolves after fdatasync, and all lines that wait share one.
const fs = require('node:fs');
const { dirname } = require('node:path');

class Journal {
  // Reads what is there (`each` gets every record in order), cuts a torn last line, opens for appending.
  constructor(path, each) {
    this.fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_APPEND, 0o600);
    this.waiting = [];
    this.writing = false;
    const bytes = fs.readFileSync(path);
    const end = bytes.lastIndexOf(10) + 1;
    if (end < bytes.length) fs.ftruncateSync(this.fd, end);
    const folder = fs.openSync(dirname(path)); // a file that was just made is safe when its name is, too
    fs.fsyncSync(folder);
    fs.closeSync(folder);
    for (const line of bytes.subarray(0, end).toString().split('\n')) if (line) each(JSON.parse(line));
  }

  append(record) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ text: JSON.stringify(record) + '\n', resolve, reject });
      if (!this.writing) this.write();
    });
  }

  write() {
    const batch = this.waiting;
    this.waiting = [];
    this.writing = true;
    const done = (error) => {
      for (const one of batch) error ? one.reject(error) : one.resolve();
      // After a failed write nobody knows what the file holds: stop, and read it anew at the next start.
      if (error) process.exit(1);
      this.writing = false;
      if (this.waiting.length) this.write();
    };
    const bytes = Buffer.from(batch.map((one) => one.text).join(''));
    fs.write(this.fd, bytes, (error, written) => {
      if (error || written < bytes.length) return done(error || new Error('short write'));
      fs.fdatasync(this.fd, done);
    });
  }
}

module.exports = { Journal };
