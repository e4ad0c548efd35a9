'use strict';
// journal: payment's database, one file of JSON lines that is only appended to. A line counts when it is
// on the disk: append() resolves after fdatasync, and all lines that wait share one. While a new version
// takes over from an old one, both have the file open: each line goes to the end in one piece (O_APPEND),
// and catchUp() reads what others have written, so all see the same lines in the same order.
const fs = require('node:fs');
const { dirname } = require('node:path');

const CHUNK = 1 << 20;

class Journal {
  // Cuts a torn last line, then hands every record to `each`, in order: those that are there, and from
  // then on every new one, whoever wrote it.
  constructor(path, each) {
    this.fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_APPEND, 0o600);
    this.each = each;
    this.offset = 0;
    this.chunk = Buffer.alloc(CHUNK);
    this.waiting = [];
    this.writing = false;
    const folder = fs.openSync(dirname(path)); // a file that was just made is safe when its name is, too
    fs.fsyncSync(folder);
    fs.closeSync(folder);
    this.catchUp();
    if (this.offset < fs.fstatSync(this.fd).size) fs.ftruncateSync(this.fd, this.offset);
  }

  // Reads the whole lines behind what was read before.
  catchUp() {
    for (;;) {
      const length = fs.readSync(this.fd, this.chunk, 0, CHUNK, this.offset);
      const end = length ? this.chunk.lastIndexOf(10, length - 1) + 1 : 0;
      if (!end) return;
      this.offset += end;
      for (const line of this.chunk.toString('utf8', 0, end).split('\n')) if (line) this.each(JSON.parse(line));
    }
  }

  append(record) {
    return new Promise((resolve) => {
      this.waiting.push({ text: JSON.stringify(record) + '\n', resolve });
      if (!this.writing) this.write();
    });
  }

  write() {
    const batch = this.waiting;
    this.waiting = [];
    this.writing = true;
    const done = (error) => {
      // After a failed write nobody knows what the file holds: stop, and read it anew at the next start.
      if (error) {
        console.error(`payment: the journal: ${error.message}`);
        process.exit(1);
      }
      this.catchUp();
      for (const one of batch) one.resolve();
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
