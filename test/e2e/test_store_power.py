"""Power failures, from a real run: record_writes.c writes down what a writer does to its disk and what
it acknowledges; here the disk is made as a power failure at some moment could have left it (what was
not synced: lost, there, or torn by sectors; names that were not synced: there or not), and the store is
opened on it. Nothing acknowledged before that moment may be missing. Half of the moments are right
before or after something became durable.

DURE_POWER_CUTS says how many moments (default 120)."""

import bisect
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import time

import pytest
from store_tools import built, read_all

CUTS = int(os.environ.get("DURE_POWER_CUTS", "120"))
SECTOR = 512
EVENT = struct.Struct("<IIIIQQQ")
(OPENED, WROTE, RESIZED, GROWN, SYNC_BEGINS, SYNC_ENDS, DURABLE_BEGINS, DURABLE_ENDS,
 DIR_SYNC_BEGINS, DIR_SYNC_ENDS, RENAMED, REMOVED, MADE_DIR, SAID) = range(1, 15)


def read_events(path):
    data, at, events = path.read_bytes(), 0, []
    while at + EVENT.size <= len(data):
        kind, path_len, second_len, data_len, number, file, offset = EVENT.unpack_from(data, at)
        at += EVENT.size
        end = at + path_len + second_len + data_len
        if end > len(data):
            break  # the program was killed in the middle of this one
        first, second = data[at:at + path_len].decode(), data[at + path_len:at + path_len + second_len].decode()
        events.append((kind, number, file, offset, first, second, data[end - data_len:end]))
        at = end
    return events


class File:
    def __init__(self):
        self.durable = bytearray()
        self.pending = []  # (event index, number, offset, data); data None: the size is at least offset; -1 ...

    def apply(self, image, change, sectors=None):
        _, _, offset, data = change
        if data is None:  # a size
            size, exact = offset
            if len(image) < size:
                image.extend(bytes(size - len(image)))
            elif exact:
                del image[size:]
            return
        if len(image) < offset + len(data):
            image.extend(bytes(offset + len(data) - len(image)))
        if sectors is None:
            image[offset:offset + len(data)] = data
            return
        at = offset
        while at < offset + len(data):
            end = min((at // SECTOR + 1) * SECTOR, offset + len(data))
            if sectors(at // SECTOR):
                image[at:end] = data[at - offset:end - offset]
            at = end

    def persist(self, wanted):
        kept = []
        for change in self.pending:
            if wanted(change):
                self.apply(self.durable, change)
            else:
                kept.append(change)
        self.pending = kept

    def after_crash(self, chance):
        image = bytearray(self.durable)
        mode = chance.choice(["none", "all", "prefix", "few", "half", "most"])
        if mode == "none":
            return image
        share = {"few": 0.125, "half": 0.5, "most": 0.875}.get(mode, 1)
        count = chance.randint(0, len(self.pending)) if mode == "prefix" else len(self.pending)
        for change in self.pending[:count]:
            self.apply(image, change, None if share == 1 else lambda sector: chance.random() < share)
        return image


class Disk:
    """The cached state is the run itself; here is what is durable, and what waits."""

    def __init__(self):
        self.files = {}
        self.names = {}    # durable: path -> file, None for a directory
        self.cached = {}
        self.waiting = []  # (event index, path, file or None or "gone", directory)
        self.begun = {}    # number -> event index

    def name(self, index, path, file):
        self.waiting.append((index, path, file))
        if file == "gone":
            self.cached.pop(path, None)
        else:
            self.cached[path] = file

    def persist_name(self, names, change):
        _, path, file = change
        if file == "gone":
            names.pop(path, None)
        else:
            names[path] = file

    def take(self, index, event):
        kind, number, file, offset, path, second, data = event
        if kind == OPENED:
            if offset == 1:
                self.files[file] = File()
                self.name(index, path, file)
            elif offset == 2:
                self.files[file].pending.append((index, number, (0, True), None))
        elif kind in (WROTE, DURABLE_BEGINS):
            self.files[file].pending.append((index, number, offset, data))
        elif kind in (RESIZED, GROWN):
            self.files[file].pending.append((index, number, (offset, kind == RESIZED), None))
        elif kind in (SYNC_BEGINS, DIR_SYNC_BEGINS):
            self.begun[number] = index
        elif kind == SYNC_ENDS:
            begun = self.begun.pop(number)
            self.files[file].persist(lambda change: change[0] < begun)
        elif kind == DURABLE_ENDS:
            self.files[file].persist(lambda change: change[1] == number)
        elif kind == DIR_SYNC_ENDS:
            begun = self.begun.pop(number)
            for change in [c for c in self.waiting if c[0] < begun and os.path.dirname(c[1]) == path]:
                self.persist_name(self.names, change)
                self.waiting.remove(change)
        elif kind == RENAMED:
            file = self.cached[path]
            self.name(index, second, file)
            self.name(index, path, "gone")
        elif kind == REMOVED:
            self.name(index, path, "gone")
        elif kind == MADE_DIR:
            self.name(index, path, None)

    def write_after_crash(self, chance, root, target):
        names = dict(self.names)
        # Metadata is journaled: names that were not synced are there in the order of the changes.
        for change in self.waiting[:chance.randint(0, len(self.waiting))]:
            self.persist_name(names, change)
        for path, file in sorted(names.items()):
            place = pathlib.Path(str(target) + path[len(root):])
            if not place.parent.is_dir():
                continue
            if file is None:
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(self.files[file].after_crash(chance))


def record(tmp_path, journals, seconds):
    program, root = built("store_writer"), str(tmp_path / "run")
    (tmp_path / "run").mkdir()
    env = dict(os.environ, LD_PRELOAD=built("record_writes"), RECORD_WRITES=str(tmp_path / "events"),
               RECORD_BELOW=root)
    with subprocess.Popen([program, "write", root + "/store", str(journals)], stdout=subprocess.PIPE, env=env) as process:
        time.sleep(0.2)
        os.set_blocking(process.stdout.fileno(), False)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                os.read(process.stdout.fileno(), 1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    return root, read_events(tmp_path / "events")


def acknowledgements(events, journals):
    """By journal: the indices of the events that acknowledged its records 1, 2 ..."""
    places, rest = [[] for _ in range(journals)], b""
    for index, event in enumerate(events):
        if event[0] != SAID:
            continue
        *lines, rest = (rest + event[6]).split(b"\n")
        for line in lines:
            if not line.startswith(b"open"):
                journal, number = map(int, line.split())
                places[journal].append(index)
                assert len(places[journal]) == number
    return places


def choose_cuts(events, chance):
    durable = [i for i, event in enumerate(events) if event[0] in (SYNC_ENDS, DURABLE_ENDS, DIR_SYNC_ENDS)]
    cuts = [chance.randrange(len(events)) for _ in range(CUTS // 2)]
    cuts += [chance.choice(durable) + chance.randint(0, 1) for _ in range(CUTS - len(cuts))]
    return sorted(cuts)


@pytest.mark.parametrize("journals", [1, 5])
def test_everything_acknowledged_survives_power_failure(tmp_path, journals):
    chance = random.Random(journals)
    root, events = record(tmp_path, journals, 1.0)
    places, disk, done, checked = acknowledgements(events, journals), Disk(), 0, 0
    assert sum(map(len, places)) > 100, "hardly anything was written"
    for number, cut in enumerate(choose_cuts(events, chance)):
        for index in range(done, cut):
            disk.take(index, events[index])
        done = max(done, cut)
        target = tmp_path / "after"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        disk.write_after_crash(chance, root, target)
        acknowledged = [bisect.bisect_left(place, cut) for place in places]
        if not (target / "store").is_dir():
            assert sum(acknowledged) == 0
            continue
        found = read_all(built("store_writer"), str(target / "store"), journals)
        assert all(n >= known for n, known in zip(found, acknowledged)), \
            f"cut {number} before event {cut}: {acknowledged} acknowledged, {found} found"
        checked += sum(acknowledged)
    print(f"{len(events)} events, {CUTS} power failures, {checked} acknowledged records looked for")
    assert checked > CUTS
