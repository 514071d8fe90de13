"""What starts or stops sessions, and finding anything by its id: the glue between inputs and the engine's services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server.api.graphql.access import User
from server.api.graphql.accounts import Account
from server.api.graphql.archives import ArchivePointsInput, ExtendRetrievalInput, RetrievePointsInput
from server.api.graphql.context import Context, Info, in_thread
from server.api.graphql.estimates import RefreshPricesInput
from server.api.graphql.loaders import loaders
from server.api.graphql.node import IdInput, Node
from server.api.graphql.points import (
    DeletePointSetInput,
    DeletePointSetPayload,
    DeletePointsInput,
    InstanceRestoreInput,
    RestorePoint,
    VolumeRestoreInput,
)
from server.api.graphql.policies import Policy
from server.api.graphql.policy_inputs import StartPolicyInput
from server.api.graphql.repositories import AddRepositoryInput, Repository, RepositoryPayload
from server.api.graphql.resources import RescanInput, Resource
from server.api.graphql.scalars import local_id, split_id
from server.api.graphql.sessions import Session, SessionPayload, Task
from server.api.graphql.sla_templates import SlaTemplate
from server.api.graphql.storage_templates import StorageTemplate
from server.api.graphql.upkeep import CheckRepositoryInput, VerifyPointsInput
from server.domain import session as domain
from server.domain.errors import InvalidInput
from server.services import (
    access,
    archives,
    health_checks,
    lists,
    maintenance,
    points,
    prices,
    protection,
    repositories,
    repository_rescans,
    rescans,
    restores,
    retrievals,
    tasks,
    verification,
)

KEY_MAX = 128

FINDERS: dict[str, tuple[lists.Noun, Callable[[Any], Node]]] = {
    "Account": ("accounts", Account.of),
    "Resource": ("resources", Resource.of),
    "Policy": ("policies", Policy.of),
    "Repository": ("repositories", Repository.of),
    "RestorePoint": ("points", RestorePoint.of),
    "Session": ("sessions", Session.of),
    "Task": ("tasks", Task.of),
    "SlaTemplate": ("sla_templates", SlaTemplate.of),
    "StorageTemplate": ("storage_templates", StorageTemplate.of),
}


async def find(info: Info, id: str) -> Node | None:
    """The object behind a global id; None when it is gone. InvalidInput for ids of no kind of ours."""
    context = info.context
    kind, uuid = split_id(id)
    if kind == "User":
        me = await in_thread(access.me, context.app, context.who())
        return User.of(me) if me.id == uuid else None
    if kind not in FINDERS:
        raise InvalidInput(f"There is nothing of the kind {kind!r}.", fields={"id": "Unknown kind."})
    noun, show = FINDERS[kind]
    loader = getattr(loaders(context), noun, None) if noun not in ("tasks", "points") else None
    if loader is not None:
        record = await loader.load(uuid)
    else:
        record = (await in_thread(lists.many, context.app, context.who(), noun, [uuid])).get(uuid)
    return None if record is None else show(record)


def session_key(context: Context, mutation: str, key: str | None) -> str | None:
    """``clientMutationId`` as the key of the session it starts: one user's keys never meet another's."""
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_MAX:
        raise InvalidInput(
            f"clientMutationId has 1 to {KEY_MAX} characters.", fields={"clientMutationId": f"1 to {KEY_MAX} characters."}
        )
    return f"{mutation}:{context.who().user_id}:{key}"


def _payload(session: domain.Session | None, key: str | None) -> SessionPayload:
    return SessionPayload(session=None if session is None else Session.of(session), client_mutation_id=key)


async def start_policy(info: Info, input: StartPolicyInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        protection.start_policy,
        context.app,
        context.who(),
        local_id("Policy", input.id),
        backup=input.backup,
        archive=input.archive,
        dry_run=input.dry_run,
        key=session_key(context, "startPolicy", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def rescan(info: Info, input: RescanInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        rescans.start_rescan,
        context.app,
        context.who(),
        local_id("Account", input.account_id, "accountId"),
        regions=input.regions,
        key=session_key(context, "rescan", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def collect_garbage(info: Info, input: IdInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        maintenance.start_collect_garbage,
        context.app,
        context.who(),
        local_id("Repository", input.id),
        dry_run=input.dry_run,
        key=session_key(context, "collectGarbage", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def add_repository(info: Info, input: AddRepositoryInput) -> RepositoryPayload:
    context = info.context
    added = await in_thread(
        repositories.add,
        context.app,
        context.who(),
        input.read(),
        local_root=context.local_root,
        dry_run=input.dry_run,
        key=input.client_mutation_id,
    )
    return RepositoryPayload(
        repository=Repository.of(added.repository),
        session=None if added.session is None else Session.of(added.session),
        client_mutation_id=input.client_mutation_id,
    )


async def rescan_repository(info: Info, input: IdInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        repository_rescans.start_rescan,
        context.app,
        context.who(),
        local_id("Repository", input.id),
        dry_run=input.dry_run,
        key=session_key(context, "rescanRepository", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def check_repository(info: Info, input: CheckRepositoryInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        maintenance.start_check,
        context.app,
        context.who(),
        local_id("Repository", input.id),
        level=input.level,
        shares=input.shares,
        dry_run=input.dry_run,
        key=session_key(context, "checkRepository", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def start_health_check(info: Info, input: IdInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        health_checks.start_health_check,
        context.app,
        context.who(),
        local_id("Policy", input.id),
        dry_run=input.dry_run,
        key=session_key(context, "startHealthCheck", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def verify_restore_points(info: Info, input: VerifyPointsInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        verification.start_verification,
        context.app,
        context.who(),
        [local_id("RestorePoint", id, "ids") for id in input.ids],
        dry_run=input.dry_run,
        key=session_key(context, "verifyRestorePoints", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def start_volume_restore(info: Info, input: VolumeRestoreInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        restores.start_volume_restore,
        context.app,
        context.who(),
        local_id("RestorePoint", input.point_id, "pointId"),
        input.read(),
        reason=input.reason,
        dry_run=input.dry_run,
        key=session_key(context, "startVolumeRestore", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def start_instance_restore(info: Info, input: InstanceRestoreInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        restores.start_instance_restore,
        context.app,
        context.who(),
        local_id("RestorePoint", input.point_id, "pointId"),
        input.read(),
        reason=input.reason,
        dry_run=input.dry_run,
        key=session_key(context, "startInstanceRestore", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def archive_points(info: Info, input: ArchivePointsInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        archives.archive_points,
        context.app,
        context.who(),
        [local_id("RestorePoint", id, "pointIds") for id in input.point_ids],
        local_id("Repository", input.repository_id, "repositoryId"),
        keep_days=input.keep_days,
        dry_run=input.dry_run,
        key=session_key(context, "archivePoints", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def retrieve_points(info: Info, input: RetrievePointsInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        retrievals.retrieve_points,
        context.app,
        context.who(),
        [local_id("RestorePoint", id, "pointIds") for id in input.point_ids],
        mode=input.mode,
        days=input.days,
        dry_run=input.dry_run,
        key=session_key(context, "retrievePoints", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def extend_retrieval(info: Info, input: ExtendRetrievalInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        retrievals.extend_retrieval,
        context.app,
        context.who(),
        local_id("RestorePoint", input.point_id, "pointId"),
        days=input.days,
        dry_run=input.dry_run,
        key=session_key(context, "extendRetrieval", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def delete_restore_points(info: Info, input: DeletePointsInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        points.delete_points,
        context.app,
        context.who(),
        [local_id("RestorePoint", id, "ids") for id in input.ids],
        dry_run=input.dry_run,
        key=session_key(context, "deleteRestorePoints", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)


async def delete_restore_point_set(info: Info, input: DeletePointSetInput) -> DeletePointSetPayload:
    context = info.context
    started = await in_thread(
        points.delete_set,
        context.app,
        context.who(),
        [local_id("Resource", id, "resourceIds") for id in input.resource_ids],
        input.set,
        dry_run=input.dry_run,
        key=session_key(context, "deleteRestorePointSet", input.client_mutation_id),
    )
    return DeletePointSetPayload(
        session=None if started.session is None else Session.of(started.session),
        count=started.count,
        client_mutation_id=input.client_mutation_id,
    )


async def cancel_session(info: Info, input: IdInput) -> SessionPayload:
    context = info.context
    asked = await in_thread(tasks.request_cancel, context.app, context.who(), local_id("Session", input.id))
    return _payload(asked, input.client_mutation_id)


async def refresh_prices(info: Info, input: RefreshPricesInput) -> SessionPayload:
    context = info.context
    started = await in_thread(
        prices.refresh,
        context.app,
        context.who(),
        input.regions,
        dry_run=input.dry_run,
        key=session_key(context, "refreshPrices", input.client_mutation_id),
    )
    return _payload(started, input.client_mutation_id)
