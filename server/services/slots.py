"""Waiting for one of the slots in which a worker process moves disk data."""

from __future__ import annotations

from typing import Final

from server.services.steps import Next, Run

WAIT_MIN: Final = 2.0  # seconds between looks
WAIT_MAX: Final = 60.0


def wait_for_slot(run: Run, stage: str) -> Next:
    """Another look later: rarer the longer the task waits, so that a thousand waiting ones cost little."""
    age = (run.app.clock.now() - (run.task.started_at or run.task.created_at)).total_seconds()
    wait = min(WAIT_MAX, max(WAIT_MIN, age / 20)) * run.app.random.uniform(0.75, 1.25)
    return Next(stage=stage, document=run.task.document, wait=wait, message="Waiting for a free worker.")
