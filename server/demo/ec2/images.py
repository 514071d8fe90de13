"""AMIs whose block device mappings are what was registered, not moto's fixed 15 GiB root."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami
from moto.ec2.utils import random_ami_id


class MappedImage(Ami):
    """An AMI over given mappings (EC2's shape: DeviceName, Ebs)."""

    mappings: list[dict[str, Any]]

    @property
    def platform_details(self) -> str:
        return "Windows" if self.platform == "windows" else "Linux/UNIX"

    @property
    def usage_operation(self) -> str:
        return "RunInstances:0002" if self.platform == "windows" else "RunInstances"

    @classmethod
    def build(
        cls, backend: Any, name: str, description: str, mappings: list[dict[str, Any]], facts: dict[str, Any]
    ) -> MappedImage:
        resolved = [_resolve(backend, mapping) for mapping in mappings if "Ebs" in mapping]
        root = facts.get("root_device_name") or "/dev/xvda"
        if root not in {mapping["DeviceName"] for mapping in resolved}:
            raise EC2ClientError("InvalidBlockDeviceMapping", f"The root device {root} has no mapping with a snapshot.")
        image = cls(
            backend,
            random_ami_id(),
            name=name,
            description=description,
            owner_id=backend.account_id,
            architecture=facts.get("architecture") or "x86_64",
            virtualization_type=facts.get("virtualization_type") or "hvm",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=root,
            region_name=f"{backend.region_name}a",
            platform=facts.get("platform"),
        )
        backend.snapshots.pop(image.ebs_snapshot.id)  # moto's own; nothing refers to it once the mappings are ours
        backend.blocks.delete(image.ebs_snapshot.id)
        image.ebs_snapshot = None
        image.mappings = resolved
        return image

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        if getattr(self, "mappings", None) is None:
            return super().block_device_mappings
        return [{"DeviceName": mapping["DeviceName"], "Ebs": dict(mapping["Ebs"])} for mapping in self.mappings]


def _resolve(backend: Any, mapping: dict[str, Any]) -> dict[str, Any]:
    ebs = dict(mapping["Ebs"])
    if ebs.get("SnapshotId"):
        snapshot = backend.get_snapshot(ebs["SnapshotId"])
        ebs.setdefault("VolumeSize", snapshot.volume_size)
        ebs.setdefault("Encrypted", snapshot.encrypted)
    elif not ebs.get("VolumeSize"):
        raise EC2ClientError("MissingParameter", "A block device mapping needs a snapshot or a volume size.")
    ebs.setdefault("DeleteOnTermination", True)
    ebs.setdefault("VolumeType", "gp2")
    return {"DeviceName": mapping["DeviceName"], "Ebs": ebs}
