"""The start-up cache: made behind the reader's back, never half, never in the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from own_stack import assert_works, run_cli
from scratch import wait_until

from handbook.stack import embedded, jars, processes, training

pytestmark = pytest.mark.stack
TRAINING = (sys.executable, "-m", "handbook.stack.training")


@pytest.fixture
def untrained(
    start_up_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A cache with the jars and without the start-up cache."""
    trained = jars.aot_cache().name
    monkeypatch.setenv("HANDBOOK_CACHE", str(tmp_path / "cache"))
    subprocess.run(["mkdir", tmp_path / "cache"], check=True)
    subprocess.run(["cp", "-a", start_up_cache, jars.home()], check=True)
    (jars.home() / trained).unlink()
    yield tmp_path / "cache"
    for process in at_work(tmp_path / "cache"):
        process.kill()


def at_work(cache: Path) -> list[psutil.Process]:
    """The training and its broker."""
    found = processes.live(cache / "training" / "kafka1")
    for process in psutil.process_iter():
        try:
            if process.cmdline()[1:] == list(TRAINING[1:]) and process.cwd() == str(cache):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_first_up_trains_in_the_background(home: Path, untrained: Path) -> None:
    """`up` returns before the training ends; later the cache is there and nothing else is."""
    assert_works(embedded.up())
    assert not jars.aot_cache().exists()
    (trainer,) = [p for p in at_work(untrained) if "java" not in p.name()]
    wait_until(lambda: trainer.nice() == 19, "the training to step back")

    began = time.monotonic()
    embedded.down()
    assert time.monotonic() - began < 20
    assert not jars.aot_cache().exists()  # `down` neither waited for it nor ended it

    wait_until(jars.aot_cache().exists, "the start-up cache", 100)
    wait_until(lambda: not at_work(untrained), "the end of the training")
    left = {path.name for path in untrained.iterdir() if path.name != jars.home().name}
    assert left <= {"training.log", "training.lock", "jars.lock", "ports.json", "ports.lock"}
    assert (untrained / "training.log").read_text() == ""
    assert_works(embedded.up())


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_training_leaves_no_process_and_the_next_makes_it_good(
    untrained: Path, seed: int
) -> None:
    """SIGKILL at a random moment: its JVMs die with it; the next training clears and finishes."""
    trainer = subprocess.Popen(TRAINING, cwd=untrained)
    wait_until(lambda: len(at_work(untrained)) == 2, "the throw-away broker")
    with pytest.raises(subprocess.TimeoutExpired):
        trainer.wait(random.Random(seed).uniform(0, 2))

    trainer.kill()
    trainer.wait()

    wait_until(lambda: at_work(untrained) == [], "the broker's end", 5)
    assert not jars.aot_cache().exists()
    if seed == 1:
        assert training.train()
        assert jars.aot_cache().exists()
        assert not (untrained / "training").exists()


def test_training_cleans_up_when_it_is_asked_to_end(untrained: Path) -> None:
    """SIGTERM ends the training with its broker and its folder."""
    trainer = subprocess.Popen(TRAINING, cwd=untrained)
    wait_until(lambda: len(at_work(untrained)) == 2, "the throw-away broker")

    trainer.send_signal(signal.SIGTERM)
    trainer.wait(20)

    assert at_work(untrained) == []
    assert not (untrained / "training").exists()
    assert not jars.aot_cache().exists()


def test_second_training_ends_at_once_when_one_is_at_work(untrained: Path) -> None:
    """Two stacks that start at once train once."""
    trainer = subprocess.Popen(TRAINING, cwd=untrained)
    wait_until(lambda: len(at_work(untrained)) == 2, "the throw-away broker")

    assert not training.train()

    os.kill(trainer.pid, signal.SIGTERM)
    trainer.wait(20)


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_broker_starts_when_the_start_up_cache_is_damaged(
    formatted: Path, untrained: Path, damage: str
) -> None:
    """A cut-off or empty cache costs speed, nothing else."""
    jars.aot_cache().write_bytes(b"" if damage == "empty" else bytes(10_000))

    assert run_cli("up").returncode == 0
    assert_works(embedded.up())
