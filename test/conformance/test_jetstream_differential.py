"""Random JetStream scripts to the bus and to nats-servers (js_differential.py), some with fixed seeds and some with new
ones. DURE_SCRIPTS: how many of each; without it only the fixed ones are played, because about one new script in a hundred
still finds a difference. DURE_SEED: where the new ones begin. NATS_SERVER_EXE names a nats-server from 2.11
on, without which only those scripts are played that Debian's knows, and that is too old to decide."""

import os
import pathlib
import random
import shutil

import pytest

import conftest
import js_differential

SCRIPTS = int(os.environ.get("DURE_SCRIPTS", "24"))
SEED = int(os.environ.get("DURE_SEED", "0")) or random.randrange(1_000_000, 1_000_000_000)
NEWEST = conftest.ROOT / "build-peers" / "nats" / "x" / "usr" / "sbin" / "nats-server"


def nats_servers():
    """The old one if it is there, and a newer one, which must be."""
    newer = os.environ.get("NATS_SERVER_EXE") or (str(NEWEST) if NEWEST.exists() else None)
    if not newer or not pathlib.Path(newer).exists():
        pytest.skip("no nats-server from 2.11 on: NATS_SERVER_EXE names none, and script/newest-nats has not been run")
    older = shutil.which("nats-server")
    return ",".join(([older] if older else []) + [newer])


@pytest.mark.parametrize("seed", [1, SEED], ids=["fixed", "random"])
def test_same_answers(seed):
    if seed == SEED and "DURE_SCRIPTS" not in os.environ:
        pytest.skip("DURE_SCRIPTS does not say how many new scripts to play")
    if not conftest.DURE.exists():
        pytest.skip(f"{conftest.DURE} is not built")
    print(f"seed {seed}")
    arguments = js_differential.parse(["--bus", str(conftest.DURE), "--nats", nats_servers(), "--seed", str(seed),
                                       "--scripts", str(SCRIPTS)])
    differences = js_differential.run(arguments)
    js_differential.report(SCRIPTS, differences)
    differences = js_differential.ours(differences)
    assert not differences, f"js_differential.py --verbose --scripts 1 --seed {differences[0].seed}"
