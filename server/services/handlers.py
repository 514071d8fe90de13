"""Which handler advances which kind of task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from server.domain.session import TaskKind
from server.services import (
    archives,
    health_checks,
    maintenance,
    manual_snapshots,
    points,
    prices,
    protecting,
    repository_rescans,
    rescans,
    restores,
    retention,
    retrievals,
    verification,
)
from server.services.steps import Handler

HANDLERS: Final[Mapping[TaskKind, Handler]] = MappingProxyType(
    {
        TaskKind.PROTECT: protecting.HANDLER,
        TaskKind.RETENTION: retention.HANDLER,
        TaskKind.RESCAN: rescans.HANDLER,
        TaskKind.RESTORE_VOLUMES: restores.VOLUMES,
        TaskKind.RESTORE_INSTANCE: restores.INSTANCE,
        TaskKind.DELETE_POINTS: points.HANDLER,
        TaskKind.COLLECT_GARBAGE: maintenance.HANDLER,
        TaskKind.CHECK_CHAIN: health_checks.HANDLER,
        TaskKind.CHECK_REPOSITORY: maintenance.CHECK,
        TaskKind.RESCAN_REPOSITORY: repository_rescans.HANDLER,
        TaskKind.VERIFY_POINT: verification.HANDLER,
        TaskKind.ARCHIVE_POINT: archives.HANDLER,
        TaskKind.RETRIEVE_POINT: retrievals.HANDLER,
        TaskKind.MANUAL_SNAPSHOT: manual_snapshots.HANDLER,
        TaskKind.READ_PRICES: prices.HANDLER,
    }
)
