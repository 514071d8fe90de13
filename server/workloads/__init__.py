"""What Holdfast can protect: one module or package per workload, and one entry here."""

from __future__ import annotations

from typing import Final

from server.ports import Aws, Clock, Workload
from server.workloads.ec2 import Ec2

WORKLOADS: Final = (Ec2,)


def workloads(aws: Aws, clock: Clock) -> tuple[Workload, ...]:
    """Every workload, ready to use. Their ``kind`` names them in policies, resources and points."""
    return tuple(workload(aws, clock) for workload in WORKLOADS)
