"""The products and their prices per Region: snapshots, EBS direct, S3 and its archive classes, transfer and KMS.

Prices are in USD per unit, near AWS's public ones of 2026; where a Region's own price of something is not listed, it follows
the Region's price of S3 Standard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

GIB_50_TB, GIB_500_TB = 51_200, 512_000
FREE: Final = 0.0


@dataclass(frozen=True, slots=True)
class Region:
    """``prefix``: of usage types. Prices per GB and month (snapshot, standard), and per GB sent to another Region."""

    name: str
    prefix: str
    location: str
    snapshot: float
    standard: float
    transfer: float

    @property
    def factor(self) -> float:
        """How dear the Region is, against us-east-1."""
        return self.standard / 0.023

    @property
    def usage_prefix(self) -> str:
        return "" if self.name == "us-east-1" else f"{self.prefix}-"


REGIONS: Final = (
    Region("us-east-1", "USE1", "US East (N. Virginia)", 0.05, 0.023, 0.02),
    Region("us-east-2", "USE2", "US East (Ohio)", 0.05, 0.023, 0.02),
    Region("us-west-1", "USW1", "US West (N. California)", 0.055, 0.026, 0.02),
    Region("us-west-2", "USW2", "US West (Oregon)", 0.05, 0.023, 0.02),
    Region("ca-central-1", "CAN1", "Canada (Central)", 0.055, 0.025, 0.02),
    Region("eu-west-1", "EU", "EU (Ireland)", 0.05, 0.023, 0.02),
    Region("eu-west-2", "EUW2", "EU (London)", 0.053, 0.024, 0.02),
    Region("eu-west-3", "EUW3", "EU (Paris)", 0.053, 0.024, 0.02),
    Region("eu-central-1", "EUC1", "EU (Frankfurt)", 0.054, 0.0245, 0.02),
    Region("eu-central-2", "EUC2", "Europe (Zurich)", 0.0594, 0.027, 0.02),
    Region("eu-north-1", "EUN1", "EU (Stockholm)", 0.0475, 0.023, 0.02),
    Region("eu-south-1", "EUS1", "EU (Milan)", 0.0525, 0.024, 0.02),
    Region("eu-south-2", "EUS2", "Europe (Spain)", 0.05, 0.023, 0.02),
    Region("ap-south-1", "APS3", "Asia Pacific (Mumbai)", 0.05, 0.025, 0.086),
    Region("ap-southeast-1", "APS1", "Asia Pacific (Singapore)", 0.05, 0.025, 0.09),
    Region("ap-southeast-2", "APS2", "Asia Pacific (Sydney)", 0.055, 0.025, 0.098),
    Region("ap-northeast-1", "APN1", "Asia Pacific (Tokyo)", 0.05, 0.025, 0.09),
    Region("ap-northeast-2", "APN2", "Asia Pacific (Seoul)", 0.05, 0.025, 0.08),
    Region("ap-northeast-3", "APN3", "Asia Pacific (Osaka)", 0.05, 0.025, 0.09),
    Region("sa-east-1", "SAE1", "South America (Sao Paulo)", 0.068, 0.0405, 0.138),
)
CHEAP_PAIRS: Final = {frozenset({"us-east-1", "us-east-2"}): 0.01}  # transfer between neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A price for what lies between ``begin`` and ``end`` units of a month (None: no end)."""

    price: float
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    service: str
    family: str
    usage_type: str
    unit: str
    bands: tuple[Band, ...]
    operation: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


_SNAPSHOT_PRICES: Final = {"SnapshotArchiveStorage": 0.25, "SnapshotArchiveEarlyDelete": 0.25, "SnapshotUsage": 1.0}
_DIRECT: Final = {"List": (6e-7, "Requests"), "Get": (3e-6, "SnapshotAPIUnits"), "Put": (6e-6, "SnapshotAPIUnits")}
_STORAGE: Final = (  # usage type, volume type, storage class, price in us-east-1
    ("TimedStorage-SIA-ByteHrs", "Standard - Infrequent Access", "Infrequent Access", 0.0125),
    ("TimedStorage-ZIA-ByteHrs", "One Zone - Infrequent Access", "Infrequent Access", 0.01),
    ("TimedStorage-GIR-ByteHrs", "Glacier Instant Retrieval", "Archive Instant Retrieval", 0.004),
    ("TimedStorage-GlacierByteHrs", "Amazon Glacier", "Archive", 0.0036),
    ("Tables-TimedStorage-ByteHrs", "Tables", "General Purpose", 0.0265),
)
_REQUESTS: Final = (  # service, usage type, operation, price per request in us-east-1
    ("AmazonS3", "Requests-Tier1", "", 5e-6),
    ("AmazonS3", "Requests-Tier2", "", 4e-7),
    ("AmazonS3", "Requests-SIA-Tier1", "", 1e-5),
    ("AmazonS3", "Requests-SIA-Tier2", "", 1e-6),
    ("AmazonS3", "Requests-GLACIER-Tier1", "PutObject", 3e-5),
    ("AmazonS3", "Requests-Tier3", "RestoreObject", 5e-5),
    ("AmazonS3", "Requests-Tier3", "S3-GlacierTransition", 3e-5),
    ("AmazonS3", "Requests-Tier3", "S3-GDATransition", 5e-5),
    ("AmazonS3", "Requests-Tier5", "RestoreObject", 2.5e-5),
    ("AmazonS3", "Requests-Tier6", "RestoreObject", 1e-2),
    ("AmazonS3GlacierDeepArchive", "Requests-GDA-Tier1", "PutObject", 5e-5),
    ("AmazonS3GlacierDeepArchive", "Requests-GDA-Tier3", "DeepArchiveRestoreObject", 1e-4),
    ("AmazonS3GlacierDeepArchive", "Requests-GDA-Tier5", "DeepArchiveRestoreObject", 2.5e-5),
)
_RETRIEVALS: Final = (  # usage type, operation, price per GB in us-east-1
    ("Standard-Retrieval-Bytes", "RestoreObject", 0.01),
    ("Standard-Retrieval-Bytes", "DeepArchiveRestoreObject", 0.02),
    ("Bulk-Retrieval-Bytes", "RestoreObject", FREE),
    ("Bulk-Retrieval-Bytes", "DeepArchiveRestoreObject", 0.0025),
    ("Expedited-Retrieval-Bytes", "RestoreObject", 0.03),
)


def products() -> Iterator[Product]:
    """Everything there is a price for."""
    for region in REGIONS:
        yield from _ebs(region)
        yield from _storage(region)
        yield from _use_of_storage(region)
        yield from _keys(region)
        yield from _transfers(region)


def _place(region: Region) -> dict[str, str]:
    return {"regionCode": region.name, "location": region.location, "locationType": "AWS Region"}


def _one(price: float) -> tuple[Band, ...]:
    return (Band(price=round(price, 10)),)


def _ebs(region: Region) -> Iterator[Product]:
    for name, share in _SNAPSHOT_PRICES.items():
        usage = f"{region.usage_prefix}EBS:{name}"
        extra = {**_place(region), "storageMedia": "Amazon S3"}
        yield Product(
            service="AmazonEC2",
            family="Storage Snapshot",
            usage_type=usage,
            unit="GB-Mo",
            bands=_one(region.snapshot * share),
            attributes=extra,
        )
    for name, (price, unit) in _DIRECT.items():
        yield Product(
            service="AmazonEC2",
            family="EBS direct API Requests",
            usage_type=f"{region.usage_prefix}EBS:directAPI.snapshot.{name}",
            unit=unit,
            bands=_one(price * region.factor),
            attributes=_place(region),
        )


def _storage(region: Region) -> Iterator[Product]:
    standard = (
        Band(price=region.standard, end=GIB_50_TB),
        Band(price=round(region.standard * 0.957, 4), begin=GIB_50_TB, end=GIB_500_TB),
        Band(price=round(region.standard * 0.913, 4), begin=GIB_500_TB),
    )
    yield _stored(region, "AmazonS3", "TimedStorage-ByteHrs", "Standard", "General Purpose", standard)
    for usage, volume, kind, price in _STORAGE:
        yield _stored(region, "AmazonS3", usage, volume, kind, _one(round(price * region.factor, 5)))
    deep = _one(round(0.00099 * region.factor, 5))
    yield _stored(region, "AmazonS3GlacierDeepArchive", "TimedStorage-GDA-ByteHrs", "Glacier Deep Archive", "Archive", deep)


def _stored(region: Region, service: str, usage: str, volume: str, kind: str, bands: tuple[Band, ...]) -> Product:
    return Product(
        service=service,
        family="Storage",
        usage_type=f"{region.usage_prefix}{usage}",
        unit="GB-Mo",
        bands=bands,
        attributes={**_place(region), "volumeType": volume, "storageClass": kind},
    )


def _use_of_storage(region: Region) -> Iterator[Product]:
    for service, usage, operation, price in _REQUESTS:
        yield Product(
            service=service,
            family="API Request",
            usage_type=f"{region.usage_prefix}{usage}",
            unit="Requests",
            bands=_one(price * region.factor),
            operation=operation,
            attributes={**_place(region), "group": usage.removeprefix("Requests-")},
        )
    for usage, operation, price in _RETRIEVALS:
        yield Product(
            service="AmazonS3",
            family="Fee",
            usage_type=f"{region.usage_prefix}{usage}",
            unit="GB",
            bands=_one(price * region.factor),
            operation=operation,
            attributes=_place(region),
        )


def _keys(region: Region) -> Iterator[Product]:
    for usage, unit, price in (("Requests", "Requests", 3e-6), ("Keys", "Keys", 1.0)):
        yield Product(
            service="awskms",
            family="Encryption Key" if usage == "Keys" else "API Request",
            usage_type=f"{region.name}-KMS-{usage}",
            unit=unit,
            bands=_one(price),
            attributes=_place(region),
        )


def _transfers(region: Region) -> Iterator[Product]:
    for target in REGIONS:
        if target is region:
            continue
        price = CHEAP_PAIRS.get(frozenset({region.name, target.name}), region.transfer)
        yield Product(
            service="AWSDataTransfer",
            family="Data Transfer",
            usage_type=f"{region.prefix}-{target.prefix}-AWS-Out-Bytes",
            unit="GB",
            bands=_one(price),
            attributes={
                "transferType": "InterRegion Outbound",
                "fromRegionCode": region.name,
                "fromLocation": region.location,
                "fromLocationType": "AWS Region",
                "toRegionCode": target.name,
                "toLocation": target.location,
                "toLocationType": "AWS Region",
            },
        )
