"""What a large account needs of moto's EC2: instances and tags found at once, changes of snapshots and tags saved singly."""

from __future__ import annotations

from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from server.demo import changes


class RecordedEc2Backend(EC2Backend):
    def get_instance(self, instance_id: str) -> Instance:
        for reservation in reversed(self.reservations.values()):  # who asks, asks most of all for what was just made
            for instance in reservation.instances:
                if instance.id == instance_id:
                    return instance
        raise InvalidInstanceIdError(instance_id)

    def describe_tags(self, filters: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
        """moto compares every tag of the account with each filter, even to find those of one resource."""
        ids = (filters or {}).get("resource-id", [])
        if filters is None or len(filters) > 1 or len(ids) != 1 or set("*?") & set(ids[0]):
            return super().describe_tags(filters)
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(ids[0]), "")
        return [
            {"resource_id": ids[0], "key": key, "value": value, "resource_type": kind}
            for key, value in self.tags.get(ids[0], {}).items()
        ]

    def create_tags(self, resource_ids: list[str], tags: dict[str, str]) -> bool:
        self._note_tags(resource_ids)
        return super().create_tags(resource_ids, tags)

    def delete_tags(self, resource_ids: list[str], tags: dict[str, str]) -> bool:
        self._note_tags(resource_ids)
        return super().delete_tags(resource_ids, tags)

    def _note_tags(self, resource_ids: list[str]) -> None:
        for resource_id in resource_ids:
            changes.note("ec2", self, "tags", resource_id)

    def note_snapshot(self, snapshot_id: str) -> None:
        changes.note("ec2", self, "snapshots", snapshot_id)

    def drop_tags(self, resource_id: str) -> None:
        """Of something that is gone."""
        self.tags.pop(resource_id, None)
        changes.note("ec2", self, "tags", resource_id)
