"""EC2's front: moto's answers, with paging, idempotency and the checks AWS makes before it acts."""

from __future__ import annotations

from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError, InvalidVolumeIdError
from moto.ec2.responses import EC2Response

from server.demo.ec2 import copies, paging
from server.demo.ec2.answers import QuickResult
from server.demo.ec2.backend import DemoEc2Backend
from server.demo.ec2.copies import visible_snapshot
from server.demo.errors import known_regions
from server.demo.once import Once, Reused

VOLUME_GIB_MAX = {"standard": 1024, "gp2": 16384, "gp3": 65536, "io1": 16384, "io2": 65536, "st1": 16384, "sc1": 16384}
VOLUME_GIB_MIN = {"io1": 4, "io2": 4, "st1": 125, "sc1": 125}
WINDOWS_PRODUCT = "bp-6ba54002"  # the billing product of Windows, which makes an image a Windows image


class DemoEc2Response(EC2Response):
    """Overrides only what moto gets wrong; everything else is moto's."""

    @property
    def backend(self) -> DemoEc2Backend:
        backend = self.ec2_backend
        assert isinstance(backend, DemoEc2Backend)
        return backend

    def serialized(self, action_result: ActionResult) -> TYPE_RESPONSE:
        operation = self._get_action()
        result = action_result.result
        member = paging.list_member(operation)
        if member and isinstance(result, dict) and isinstance(result.get(member), list):
            question = {name: value for name, value in self.params.items() if value is not None}
            try:
                items, token = paging.page(operation, question, result[member])
                action_result = ActionResult({**result, member: items, "NextToken": token})
            except EC2ClientError as error:
                status, headers, body = super().serialized(ActionResult(error))
                return status, {**headers, "status": status}, body
        return super().serialized(QuickResult(action_result.result))

    def describe_regions(self) -> ActionResult:
        """Moto adds those of other partitions, which no key of this account opens."""
        answer = super().describe_regions()
        return ActionResult({"Regions": [each for each in answer.result["Regions"] if each.name in known_regions()]})  # type: ignore[index]  # moto's own dictionary

    def _once(self) -> Once | None:
        token = self._get_param("ClientToken")
        if not token:
            return None
        request = {name: value for name, value in self.params.items() if name not in ("ClientToken", "DryRun")}
        scope = f"{self.current_account}/{self.region}/{self._get_action()}/{token}"
        try:
            return Once.of(DemoEc2Backend.ledger, scope, request)
        except Reused:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "The client token you have provided is associated with a resource whose parameters differ from this request.",
            )

    # ---- lists

    def describe_instances(self) -> ActionResult:
        self.error_on_dryrun()
        ids = self._get_param("InstanceIds", [])
        if ids and self._get_param("MaxResults"):
            raise EC2ClientError(
                "InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults"
            )
        filters = self._filters_from_querystring()
        if ids:
            found = self.backend.get_reservations_by_instance_ids(ids, filters=filters)
        else:
            found = self.backend.describe_instances(filters=filters)
        return ActionResult({"Reservations": found})

    def describe_snapshots(self) -> ActionResult:
        owners = {self.current_account if owner == "self" else owner for owner in self._get_param("OwnerIds", [])}
        filters = self._filters_from_querystring()
        ids = self._get_param("SnapshotIds", [])
        foreign = []
        for snapshot_id in ids:
            snapshot = visible_snapshot(self.current_account, self.region, snapshot_id)
            if snapshot is None:
                raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
            if snapshot.owner_id != self.current_account:
                foreign.append(snapshot)
        own = [snapshot_id for snapshot_id in ids if snapshot_id in self.backend.snapshots]
        found = [] if ids and not own else self.backend.describe_snapshots(snapshot_ids=own, filters=filters)
        return ActionResult({"Snapshots": [s for s in found + foreign if not owners or s.owner_id in owners]})

    # ---- volumes and snapshots

    def create_volume(self) -> ActionResult:
        once = self._once()
        if once and once.result:
            if once.result not in self.backend.volumes:
                raise InvalidVolumeIdError(once.result)
            return ActionResult(self.backend.volumes[once.result])
        self._check_new_volume()
        answer = super().create_volume()
        if once:
            once.keep(answer.result.id)  # type: ignore[attr-defined]  # the result is a Volume
        return answer

    def _check_new_volume(self) -> None:
        zone, size = self._get_param("AvailabilityZone"), self._get_param("Size")
        kind, snapshot_id = self._get_param("VolumeType") or "gp2", self._get_param("SnapshotId")
        if not zone:
            raise EC2ClientError("MissingParameter", "The request must contain the parameter AvailabilityZone")
        if self.backend.get_zone_by_name(zone) is None:
            raise EC2ClientError("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
        if kind not in VOLUME_GIB_MAX:
            raise EC2ClientError("UnknownVolumeType", f"Unsupported volume type '{kind}' for volume creation.")
        snapshot = self.backend.get_snapshot(snapshot_id) if snapshot_id else None
        if snapshot is not None and snapshot.status != "completed":
            raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
        if snapshot is not None and size is not None and int(size) < snapshot.volume_size:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Volume of {size}GiB is smaller than snapshot '{snapshot_id}', expecting size >= {snapshot.volume_size}GiB.",
            )
        if size is not None and not VOLUME_GIB_MIN.get(kind, 1) <= int(size) <= VOLUME_GIB_MAX[kind]:
            bound = "large" if int(size) > VOLUME_GIB_MAX[kind] else "small"
            raise EC2ClientError("InvalidParameterValue", f"Volume of {size}GiB is too {bound} for volume type {kind}.")

    def delete_volume(self) -> ActionResult:
        volume = self.backend.get_volume(self._get_param("VolumeId"))
        if volume.attachments:
            raise EC2ClientError(
                "VolumeInUse", f"Volume {volume.id} is currently attached to {volume.attachments[0].instance.id}"
            )
        return super().delete_volume()

    def attach_volume(self) -> ActionResult:
        volume = self.backend.get_volume(self._get_param("VolumeId"))
        instance = self.backend.get_instance(self._get_param("InstanceId"))
        if volume.status == "creating":
            raise EC2ClientError("IncorrectState", f"{volume.id} is not 'available'.")
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is not 'running' or 'stopped'.")
        return super().attach_volume()

    def detach_volume(self) -> ActionResult:
        volume = self.backend.get_volume(self._get_param("VolumeId"))
        attachment = volume.attachment
        instance = attachment.instance if attachment else None
        if attachment and instance and attachment.device == instance.root_device_name and instance.state != "stopped":
            raise EC2ClientError(
                "OperationNotPermitted",
                f"Unable to detach root volume '{volume.id}' from instance '{instance.id}', which is {instance.state}",
            )
        return super().detach_volume()

    def create_snapshots(self) -> ActionResult:
        answer = super().create_snapshots()
        if self._get_param("CopyTagsFromSource") == "volume":
            for snapshot in answer.result["Snapshots"]:  # type: ignore[index]  # moto's own dictionary
                own = {tag["key"] for tag in snapshot.get_tags()}
                tags = self.backend.tags.get(snapshot.volume_id, {})
                snapshot.add_tags({key: value for key, value in tags.items() if key not in own and not key.startswith("aws:")})
        return answer

    def copy_snapshot(self) -> ActionResult:
        self.error_on_dryrun()
        request = copies.CopyRequest(
            source_id=str(self._get_param("SourceSnapshotId")),
            source_region=str(self._get_param("SourceRegion")),
            caller=self.headers["x-demo-caller-arn"],
            description=self._get_param("Description") or "",
            encrypted=bool(self._get_bool_param("Encrypted", False)),
            kms_key=self._get_param("KmsKeyId"),
        )
        tags = self._parse_tag_specification().get("snapshot", {})
        copy = copies.copy(self.backend, request)
        copy.add_tags(tags)
        return ActionResult({"SnapshotId": copy.id, "Tags": copy.tag_set})

    def modify_snapshot_attribute(self) -> EmptyResult:
        """Both forms: ``CreateVolumePermission`` with lists, and ``OperationType`` with ``UserIds`` and ``GroupNames``."""
        self.error_on_dryrun()
        snapshot_id = self._get_param("SnapshotId")
        wanted = self._get_param("CreateVolumePermission") or {}
        kind = self._get_param("OperationType")
        for name, change in (("Add", copies.share), ("Remove", copies.unshare)):
            entries = wanted.get(name) or []
            accounts = {str(entry["UserId"]) for entry in entries if "UserId" in entry}
            groups = {str(entry["Group"]) for entry in entries if "Group" in entry}
            if kind == name.lower():
                accounts |= set(self._get_param("UserIds", []))
                groups |= set(self._get_param("GroupNames", []))
            change(self.backend, snapshot_id, accounts, groups)
        return EmptyResult()

    def reset_snapshot_attribute(self) -> EmptyResult:  # type: ignore[override]  # moto has none
        self.error_on_dryrun()
        copies.unshare_all(self.backend, self._get_param("SnapshotId"))
        return EmptyResult()

    def get_ebs_default_kms_key_id(self) -> ActionResult:
        """The account's choice, else the alias of the key AWS makes for it."""
        self.error_on_dryrun()
        return ActionResult({"KmsKeyId": self.backend.default_kms_key_id or "alias/aws/ebs"})

    # ---- instances and images

    def _parse_block_device_mapping(self) -> list[dict[str, Any]]:
        """As sent: moto fills in defaults that would hide those of the image."""
        return list(self._get_param("BlockDeviceMappings", []))

    def run_instances(self) -> ActionResult:
        once = self._once()
        if once and once.result:
            for reservation in self.backend.reservations.values():
                if reservation.id == once.result:
                    return ActionResult(reservation)
        self._check_new_instance()
        self.params["MinCount"] = self._get_param("MaxCount", 1)  # AWS starts as many as it can; moto, as few
        answer = super().run_instances()
        if once:
            once.keep(answer.result.id)  # type: ignore[attr-defined]  # the result is a Reservation
        return answer

    def _check_new_instance(self) -> None:
        image_id, key_name = self._get_param("ImageId"), self._get_param("KeyName")
        if not image_id and not self._get_param("LaunchTemplate"):
            raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
        if key_name and key_name not in self.backend.key_pairs:
            raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{key_name}' does not exist")

    def register_image(self) -> ActionResult:
        mappings = self._get_param("BlockDeviceMappings", [])
        self.error_on_dryrun()
        image = self.backend.add_image(
            self._get_param("Name"),
            self._get_param("Description", ""),
            mappings,
            root_device_name=self._get_param("RootDeviceName"),
            architecture=self._get_param("Architecture"),
            virtualization_type=self._get_param("VirtualizationType"),
            platform="windows" if WINDOWS_PRODUCT in self._get_param("BillingProducts", []) else None,
        )
        image.add_tags(self._parse_tag_specification().get("image", {}))
        return ActionResult({"ImageId": image.id})

    def create_image(self) -> ActionResult:
        self.error_on_dryrun()
        instance = self.backend.get_instance(self._get_param("InstanceId"))
        tags = self._parse_tag_specification()
        mappings = []
        for device, block in instance.get_block_device_mapping:
            snapshot = self.backend.create_snapshot(block.volume_id, f"Created by CreateImage({instance.id})")
            snapshot.add_tags(tags.get("snapshot", {}))
            volume = self.backend.get_volume(block.volume_id)
            ebs = {"SnapshotId": snapshot.id, "VolumeSize": volume.size, "VolumeType": volume.volume_type}
            mappings.append({"DeviceName": device, "Ebs": {**ebs, "DeleteOnTermination": block.delete_on_termination}})
        image = self.backend.add_image(
            self._get_param("Name"),
            self._get_param("Description", ""),
            mappings,
            root_device_name=instance.root_device_name,
            architecture=instance.architecture,
            platform=instance.platform,
        )
        image.instance_id = instance.id
        image.add_tags(tags.get("image", {}))
        return ActionResult({"ImageId": image.id})
