"""Thousands of instances in a second or two, for what only size shows: paging, long lists, policies over a whole company.

They are made without requests, in one transaction. All disks come from one small image, so they take no space of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from server.demo.blockstore import BLOCK_SIZE, BlockStore
from server.demo.credentials import HOME_ACCOUNT
from server.demo.errors import known_regions

INSTANCES_MAX: Final = 20_000
DISKS_MAX: Final = 10
BLOCKS_MAX: Final = 64
ROOT: Final = "/dev/xvda"
TIERS: Final = ("web", "app", "db", "batch")
ENVIRONMENTS: Final = ("production", "staging", "development", "production")
_FIELDS: Final = {"instances", "regions", "account", "name", "disks", "blocks", "tags", "profile"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """``disks``: data disks beside the root's, 1 GiB each; ``blocks``: how many of 512 KiB each disk has in use. Instances are
    called ``name``-00001 and so on, spread over ``regions``, and tagged env, tier and ``tags``."""

    instances: int
    regions: Sequence[str] = ("us-east-1", "eu-central-1")
    account: str = HOME_ACCOUNT
    name: str = "many"
    disks: int = 0
    blocks: int = 2
    tags: Mapping[str, str] = field(default_factory=dict)
    profile: str = ""

    @classmethod
    def parse(cls, document: Any) -> Crowd:
        """Errors: ValueError with what is wrong."""
        if not isinstance(document, Mapping) or set(document) - _FIELDS or not isinstance(document.get("instances"), int):
            raise ValueError(f"expected an object with instances (a number), and perhaps {', '.join(sorted(_FIELDS))}")
        crowd = cls(**document)
        for name, value, low, high in (
            ("instances", crowd.instances, 1, INSTANCES_MAX),
            ("disks", crowd.disks, 0, DISKS_MAX),
            ("blocks", crowd.blocks, 1, BLOCKS_MAX),
        ):
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be a number from {low} to {high}")
        profiles = {each.name for each in iam_backends[crowd.account]["aws"].instance_profiles.values()}
        if crowd.profile and crowd.profile not in profiles:
            raise ValueError(f"there is no instance profile {crowd.profile}")
        if not crowd.regions or (unknown := set(crowd.regions) - known_regions()):
            raise ValueError(f"there is no Region {min(unknown) if crowd.regions else ''}")
        return crowd


def is_there(crowd: Crowd) -> bool:
    """Whether a crowd of this name was made before."""
    first = f"{crowd.name}-00001"
    return any(tags.get("Name") == first for region in crowd.regions for tags in _tags_in(crowd.account, region))


def _tags_in(account: str, region: str) -> list[dict[str, str]]:
    backend: Any = ec2_backends[account].get(region)
    return list(backend.tags.values()) if backend else []


def seed(crowd: Crowd, blocks: BlockStore) -> dict[str, list[str]]:
    """Region → ids of the new instances. The caller holds the control plane's lock and transaction."""
    made: dict[str, list[str]] = {}
    numbers = itertools.count(1)
    for position, region in enumerate(crowd.regions):
        share = crowd.instances // len(crowd.regions) + (position < crowd.instances % len(crowd.regions))
        made[region] = list(_in_region(crowd, region, share, numbers, blocks)) if share else []
    return made


def _in_region(crowd: Crowd, region: str, count: int, numbers: Iterator[int], blocks: BlockStore) -> Iterator[str]:
    backend: Any = ec2_backends[crowd.account][region]
    image = _image(backend, crowd, blocks)
    subnets = [subnet for zone in sorted(backend.subnets) for subnet in backend.subnets[zone].values()]
    for position in range(count):
        options = _options(crowd, region, subnets[position % len(subnets)])
        (instance,) = backend.run_instances(image.id, 1, None, [], **options).instances  # one by one, as most are in companies
        _name(backend, instance, crowd, next(numbers))
        yield str(instance.id)


def _image(backend: Any, crowd: Crowd, blocks: BlockStore) -> Any:
    """One AMI per seeding, with every disk of its instances."""
    volume = backend.create_volume(1, f"{backend.region_name}a")
    disk = blocks.find_now(volume.id)
    assert disk is not None, "a volume was just made"
    for index in range(crowd.blocks):
        blocks.put(disk, index, bytes([index % 255 + 1]) * BLOCK_SIZE)
    snapshot = backend.create_snapshot(volume.id, f"Disks of {crowd.name}")
    snapshot.ready_at = None
    backend.delete_volume(volume.id)
    devices = [ROOT, *(f"/dev/sd{letter}" for letter in "fghijklmnop"[: crowd.disks])]
    mappings = [
        {"DeviceName": device, "Ebs": {"SnapshotId": snapshot.id, "VolumeType": "gp3", "DeleteOnTermination": True}}
        for device in devices
    ]
    facts = {"root_device_name": ROOT, "architecture": "x86_64", "virtualization_type": "hvm"}
    return backend.add_image(f"{crowd.name}-{snapshot.id}", "Sample of many", mappings, **facts)


def _options(crowd: Crowd, region: str, subnet: Any) -> dict[str, Any]:
    """What RunInstances passes on to moto."""
    return {
        "instance_type": "t3.micro",
        "is_instance_type_default": True,  # as if it were: moto need not look through all offerings each time
        "placement": None,  # follows from the subnet
        "region_name": region,
        "subnet_id": subnet.id,
        "security_group_ids": [],
        "nics": [],
        "tags": {"instance": dict(crowd.tags), "volume": dict(crowd.tags)},
        "key_name": None,
        "private_ip": None,
        "associate_public_ip": None,
        "ebs_optimized": False,
        "disable_api_stop": False,
        "instance_market_options": {},
        "instance_initiated_shutdown_behavior": None,
        "launch_template": {},
        "hibernation_options": {},
        "monitoring_state": "disabled",
        "ipv6_address_count": None,
        "metadata_options": {},
        "client_token": "",
    }


def _name(backend: Any, instance: Any, crowd: Crowd, number: int) -> None:
    tags = {
        "Name": f"{crowd.name}-{number:05d}",
        "env": ENVIRONMENTS[number % len(ENVIRONMENTS)],
        "tier": TIERS[number % len(TIERS)],
    }
    backend.create_tags([instance.id], tags)
    instance._state.settle()
    if crowd.profile:
        backend.associate_iam_instance_profile(instance.id, iam_instance_profile_name=crowd.profile)
