"""moto's EC2 backend with real blocks behind its volumes and snapshots, and AWS's checks where moto has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, InvalidInstanceTypeError, InvalidVolumeIdError
from moto.ec2.models import ec2_backends
from moto.ec2.models import elastic_block_store as moto_ebs
from moto.ec2.models import instances as moto_instances
from moto.ec2.models.amis import Ami
from moto.ec2.models.elastic_block_store import Snapshot, Volume, VolumeAttachment
from moto.ec2.models.instances import Instance, InstanceState, Reservation
from moto.ec2.utils import generic_filter

from server.demo import kms
from server.demo.blockstore import BlockStore
from server.demo.ec2.images import MappedImage
from server.demo.ec2.lifecycle import Pace, TimedAttachment, TimedSnapshot, TimedState, TimedVolume
from server.demo.ec2.records import RecordedEc2Backend
from server.demo.ledger import Ledger

SNAPSHOTS_PENDING_PER_VOLUME = 5  # AWS's limit for gp2, gp3 and magnetic volumes


class DemoEc2Backend(RecordedEc2Backend):
    """One account's EC2 in one Region. The class attributes are set once, by ``install``."""

    blocks: ClassVar[BlockStore]
    ledger: ClassVar[Ledger]
    pace: ClassVar[Pace] = Pace()

    @property
    def flask_paths(self) -> dict[str, Callable[[Any, str, Any], Any]]:
        from server.demo.ec2.api import DemoEc2Response  # the response class needs this module first

        return {"/": DemoEc2Response.dispatch}

    # ---- volumes

    def create_volume(self, size: int, zone_name: str, snapshot_id: str | None = None, **options: Any) -> Volume:  # type: ignore[override]  # same names, passed on
        source: Any = None
        if snapshot_id:
            source = self.get_snapshot(snapshot_id)
            size = size or source.volume_size
            if source.encrypted and not options.get("kms_key_id"):
                options.update(encrypted=True, kms_key_id=source.kms_key_id)
        if options.get("kms_key_id"):
            key = kms.find(self.account_id, self.region_name, options["kms_key_id"])
            options["kms_key_id"] = key.arn if key else options["kms_key_id"]  # moto would show an alias as it came
        volume = super().create_volume(size, zone_name, snapshot_id, **options)
        self.blocks.create(volume.id, int(volume.size), source=snapshot_id)
        return volume

    def delete_volume(self, volume_id: str) -> Volume:
        volume = super().delete_volume(volume_id)
        self.blocks.delete(volume_id)
        return volume

    def modify_volume(self, volume_id: str, target_size: int | None = None, *args: Any, **kwargs: Any) -> Volume:
        volume = self.get_volume(volume_id)
        if target_size and target_size < volume.size:
            raise EC2ClientError("InvalidParameterValue", f"New size cannot be smaller than existing size {volume.size}.")
        volume = super().modify_volume(volume_id, target_size, *args, **kwargs)
        self.blocks.resize(volume_id, int(volume.size))
        return volume

    def describe_volumes(self, volume_ids: list[str] | None = None, filters: Any = None) -> list[Volume]:
        if not volume_ids:
            return super().describe_volumes(filters=filters)
        for volume_id in volume_ids:
            if volume_id not in self.volumes:
                raise InvalidVolumeIdError(volume_id)
        found = [self.volumes[volume_id] for volume_id in dict.fromkeys(volume_ids)]  # moto would look at every volume
        return generic_filter(filters, found) if filters else found

    def attach_volume(
        self, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False
    ) -> VolumeAttachment | None:
        volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
        if volume.attachments:
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        if volume.zone and volume.zone.name != instance.placement.zone:
            raise EC2ClientError(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'",
            )
        if device_path in instance.block_device_mapping:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{device_path}' for unixDevice. Attachment point {device_path} is already in use",
            )
        return super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)

    def detach_volume(self, volume_id: str, instance_id: str | None, device_path: str | None) -> VolumeAttachment:
        volume = self.get_volume(volume_id)
        attachment = volume.attachment
        if attachment is None or (instance_id and attachment.instance.id != instance_id):
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the 'available' state.")
        gone = super().detach_volume(volume_id, attachment.instance.id, device_path or attachment.device)
        volume.leaving = gone  # type: ignore[attr-defined]  # every volume here is a TimedVolume
        return gone

    # ---- snapshots

    def create_snapshot(
        self, volume_id: str, description: str, owner_id: str | None = None, from_ami: str | None = None
    ) -> Snapshot:
        pending = sum(1 for snap in self.snapshots.values() if snap.volume.id == volume_id and snap.status == "pending")
        if pending >= SNAPSHOTS_PENDING_PER_VOLUME:
            raise EC2ClientError(
                "ConcurrentSnapshotLimitExceeded", "Maximum allowed in-progress snapshots for a single volume exceeded."
            )
        snapshot = super().create_snapshot(volume_id, description, owner_id, from_ami)
        self.blocks.create(snapshot.id, int(snapshot.volume_size), source=volume_id)
        self.note_snapshot(snapshot.id)
        snapshot.measure(self.blocks)  # type: ignore[attr-defined]  # every snapshot here is a TimedSnapshot
        return snapshot

    def create_snapshots(self, instance_spec: dict[str, Any], description: str, tags: dict[str, str]) -> list[Snapshot]:
        instance = self.get_instance(instance_spec["InstanceId"])
        mapping = instance.get_block_device_mapping
        left_out = set(instance_spec.get("ExcludeDataVolumeIds") or ())
        data = {block.volume_id for device, block in mapping if device != instance.root_device_name}
        if foreign := left_out - data:
            raise EC2ClientError(
                "InvalidParameterValue", f"The volume '{min(foreign)}' is not a data volume attached to {instance.id}."
            )
        if instance_spec.get("ExcludeBootVolume"):
            left_out |= {block.volume_id for device, block in mapping if device == instance.root_device_name}
        chosen = [block.volume_id for _, block in mapping if block.volume_id not in left_out]
        if not chosen:
            raise EC2ClientError("InvalidParameterValue", "No volumes are left to take snapshots of.")
        snapshots = [self.create_snapshot(volume_id, description) for volume_id in chosen]
        for snapshot in snapshots:
            snapshot.add_tags(tags)
        return snapshots

    def default_key_arn(self) -> str:
        """The key used where none is named: the account's choice, else ``aws/ebs``, made when first used."""
        return str(self.default_kms_key_id or self._create_default_encryption_key())

    def delete_snapshot(self, snapshot_id: str) -> Snapshot:
        for image in self.amis.values():
            if snapshot_id in image_snapshots(image):
                raise EC2ClientError("InvalidSnapshot.InUse", f"The snapshot {snapshot_id} is currently in use by {image.id}")
        snapshot = super().delete_snapshot(snapshot_id)
        self.note_snapshot(snapshot_id)
        self.drop_tags(snapshot_id)
        self.blocks.delete(snapshot_id)
        return snapshot

    # ---- images and instances

    def add_image(self, name: str, description: str, mappings: list[dict[str, Any]], **facts: Any) -> Ami:
        """An AMI over ``mappings`` (EC2's BlockDeviceMappings). ``facts``: architecture, root_device_name, ..."""
        if any(image.name == name for image in self.amis.values()):
            raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by another AMI")
        image = MappedImage.build(self, name, description, mappings, facts)
        self.amis[image.id] = image
        return image

    def run_instances(
        self, image_id: str, count: int, user_data: Any, security_group_names: list[str], **options: Any
    ) -> Reservation:
        image = self.amis.get(image_id)
        if image is None:
            raise InvalidAMIIdError([image_id])
        if not security_group_names and not options.get("security_group_ids") and not options.get("nics"):
            options["security_group_ids"] = self._default_group(options.get("subnet_id"))
        options["block_device_mappings"] = merged_mappings(image, options.get("block_device_mappings") or [])
        try:
            reservation = super().run_instances(image_id, count, user_data, security_group_names, **options)
        except InvalidInstanceTypeError:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{options['instance_type']}' for InstanceType.")
        for instance in reservation.instances:
            instance.platform_details = getattr(image, "platform_details", "Linux/UNIX")  # type: ignore[attr-defined]  # shown
            instance.usage_operation = getattr(image, "usage_operation", "RunInstances")  # type: ignore[attr-defined]  # shown
            self._apply_performance(instance, options["block_device_mappings"])
        return reservation

    def _default_group(self, subnet_id: str | None) -> list[str]:
        vpc_id = self.get_subnet(subnet_id).vpc_id if subnet_id else self.default_vpc.id
        group = self.get_default_security_group(vpc_id)
        return [group.id] if group else []

    def _apply_performance(self, instance: Instance, mappings: list[dict[str, Any]]) -> None:
        for mapping in mappings:
            block, ebs = instance.block_device_mapping.get(mapping["DeviceName"]), mapping.get("Ebs", {})
            if block is not None:
                volume = self.get_volume(block.volume_id)
                volume.iops = ebs.get("Iops") or volume.iops
                volume.throughput = ebs.get("Throughput") or volume.throughput

    def start_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        for instance in self.get_multi_instances_by_id(instance_ids):
            if instance.state not in ("stopped", "running", "pending"):
                raise EC2ClientError(
                    "IncorrectInstanceState", f"The instance '{instance.id}' is not in a state from which it can be started."
                )
            if instance.root_device_name not in instance.block_device_mapping:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"Invalid value '{instance.id}' for instanceId. Instance does not have a volume attached at root "
                    f"({instance.root_device_name})",
                )
        return super().start_instances(instance_ids)

    def stop_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        for instance in self.get_multi_instances_by_id(instance_ids):
            if instance.state in ("terminated", "shutting-down"):
                raise EC2ClientError(
                    "IncorrectInstanceState", f"This instance '{instance.id}' is not in a state from which it can be stopped."
                )
        return super().stop_instances(instance_ids)

    def terminate_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        ended = {i.id for i in self.get_multi_instances_by_id(instance_ids) if i.state in ("terminated", "shutting-down")}
        for instance_id in ended:
            self.get_instance(instance_id).block_device_mapping.clear()
        return super().terminate_instances(instance_ids)


def merged_mappings(image: Ami, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The image's mappings with those asked for laid over them, device by device, as RunInstances does."""
    merged = {mapping["DeviceName"]: {**mapping, "Ebs": dict(mapping["Ebs"])} for mapping in image.block_device_mappings}
    for mapping in asked:
        device = mapping["DeviceName"]
        if mapping.get("NoDevice") == "":
            merged.pop(device, None)
            continue
        if "Ebs" not in mapping:  # instance store: nothing that lasts
            continue
        below = merged.get(device, {"DeviceName": device, "Ebs": {}})["Ebs"]
        merged[device] = {"DeviceName": device, "Ebs": {**below, **mapping["Ebs"]}}
    return list(merged.values())


def image_snapshots(image: Ami) -> set[str]:
    return {mapping["Ebs"].get("SnapshotId") for mapping in image.block_device_mappings} - {None}


def install(blocks: BlockStore, ledger: Ledger, pace: Pace) -> None:
    """Make moto build our kinds of volumes, snapshots and instances. Call once, before the first request."""
    DemoEc2Backend.blocks, DemoEc2Backend.ledger, DemoEc2Backend.pace = blocks, ledger, pace
    TimedState.seconds = pace.instance
    ec2_backends.backend = DemoEc2Backend
    moto_ebs.Volume = TimedVolume  # type: ignore[misc]  # moto names its classes in one module each; replaced there
    moto_ebs.Snapshot = TimedSnapshot  # type: ignore[misc]
    moto_ebs.VolumeAttachment = TimedAttachment  # type: ignore[misc]
    moto_instances.InstanceState = TimedState  # type: ignore[misc]
