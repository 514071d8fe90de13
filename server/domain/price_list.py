"""AWS's own price list: which products of it we need, and how their prices are read. Pure.

A product names what is billed by its *usage type*: a prefix for the Region (none in us-east-1, else ``EUC1-``, ``EU-`` …; KMS
spells the Region out) and the name. Several products may share a usage type and differ in ``operation`` only, so the name is
compared as a whole and the operation is part of what is looked for. Prices are per single unit, in bands by volume; the first
one that is not free counts, so an estimate is rather too high.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from server.domain.cost import ClassPrices, DirectPrices, Prices, PriceSource, RetrievalPrice, bundled
from server.domain.repository import RetrievalMode, StorageClass

# Where the Price List Query API can be asked; it answers for every Region of the partition.
ENDPOINT_REGIONS: Final = ("us-east-1", "eu-central-1", "ap-south-1")
_PREFIX: Final = re.compile(r"(?:[A-Z]{2,4}\d{0,2}|[a-z]{2}(?:-[a-z]+)+-\d)-")
_ANY: Final = None


@dataclass(frozen=True, slots=True)
class Query:
    """One GetProducts request, all its pages: service code, and the attributes products must have (``region`` replaced)."""

    service: str
    filters: Mapping[str, str]

    def attributes(self, region: str) -> dict[str, str]:
        return {name: value.format(region=region) for name, value in self.filters.items()}


def _query(service: str, **filters: str) -> Query:
    return Query(service, MappingProxyType(filters))


QUERIES: Final = (
    _query("AmazonEC2", regionCode="{region}", productFamily="Storage Snapshot"),
    _query("AmazonEC2", regionCode="{region}", productFamily="EBS direct API Requests"),
    _query("AmazonS3", regionCode="{region}"),
    _query("AmazonS3GlacierDeepArchive", regionCode="{region}"),
    _query("awskms", regionCode="{region}"),
    _query("AWSDataTransfer", fromRegionCode="{region}", transferType="InterRegion Outbound"),
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """``operation`` None: any. ``per``: how many units our price is for."""

    service: str
    usage: str
    operation: str | None = ""
    per: int = 1


_DEEP = "AmazonS3GlacierDeepArchive"
_THAW, _DEEP_THAW = "RestoreObject", "DeepArchiveRestoreObject"
# Our name of a rate → the products it may be read from, the first found counts.
RATES: Final[Mapping[str, tuple[_Wanted, ...]]] = MappingProxyType(
    {
        "snapshot": (_Wanted("AmazonEC2", "EBS:SnapshotUsage", _ANY),),
        "direct.lists": (_Wanted("AmazonEC2", "EBS:directAPI.snapshot.List", _ANY, 1000),),
        "direct.reads": (_Wanted("AmazonEC2", "EBS:directAPI.snapshot.Get", _ANY, 1000),),
        "direct.writes": (_Wanted("AmazonEC2", "EBS:directAPI.snapshot.Put", _ANY, 1000),),
        "get": (_Wanted("AmazonS3", "Requests-Tier2", per=1000),),
        "kms": (_Wanted("awskms", "KMS-Requests", _ANY, 1000),),
        "standard.month": (_Wanted("AmazonS3", "TimedStorage-ByteHrs"),),
        "standard.put": (_Wanted("AmazonS3", "Requests-Tier1", per=1000),),
        "glacier.month": (_Wanted("AmazonS3", "TimedStorage-GlacierByteHrs"),),
        "glacier.put": (_Wanted("AmazonS3", "Requests-GLACIER-Tier1", "PutObject", 1000),),
        "glacier.expedited.gib": (_Wanted("AmazonS3", "Expedited-Retrieval-Bytes", _ANY),),
        "glacier.expedited.requests": (_Wanted("AmazonS3", "Requests-Tier6", _ANY, 1000),),
        "glacier.standard.gib": (_Wanted("AmazonS3", "Standard-Retrieval-Bytes", _THAW),),
        "glacier.standard.requests": (_Wanted("AmazonS3", "Requests-Tier3", _THAW, 1000),),
        "glacier.bulk.gib": (_Wanted("AmazonS3", "Bulk-Retrieval-Bytes", _THAW),),
        "glacier.bulk.requests": (
            _Wanted("AmazonS3", "Requests-Tier5", "", 1000),
            _Wanted("AmazonS3", "Requests-Tier5", _THAW, 1000),
        ),
        "deep_archive.month": (
            _Wanted(_DEEP, "TimedStorage-GDA-ByteHrs"),
            _Wanted("AmazonS3", "TimedStorage-INT-DAA-ByteHrs"),  # the same data under Intelligent-Tiering: the same price
        ),
        "deep_archive.put": (
            _Wanted(_DEEP, "Requests-GDA-Tier1", "PutObject", 1000),
            _Wanted("AmazonS3", "Requests-Tier3", "S3-GDATransition", 1000),
        ),
        "deep_archive.standard.gib": (
            _Wanted(_DEEP, "Standard-Retrieval-Bytes", _ANY),
            _Wanted("AmazonS3", "Standard-Retrieval-Bytes", _DEEP_THAW),
        ),
        "deep_archive.standard.requests": (
            _Wanted(_DEEP, "Requests-GDA-Tier3", _ANY, 1000),
            _Wanted("AmazonS3", "Requests-Tier3", _DEEP_THAW, 1000),
        ),
        "deep_archive.bulk.gib": (
            _Wanted(_DEEP, "Bulk-Retrieval-Bytes", _ANY),
            _Wanted("AmazonS3", "Bulk-Retrieval-Bytes", _DEEP_THAW),
        ),
        "deep_archive.bulk.requests": (
            _Wanted(_DEEP, "Requests-GDA-Tier5", _ANY, 1000),
            _Wanted("AmazonS3", "Requests-Tier5", "DeepArchiveRestoreObjectBulk", 1000),
        ),
    }
)
_TRANSFER: Final = "AWSDataTransfer"


# ---- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Product:
    """``names``: the usage type as it is, and without what looks like a Region's prefix (``KMS-Requests`` has none)."""

    service: str
    names: tuple[str, str]
    attributes: Mapping[str, str]
    price: float
    published: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What AWS's list says of one Region, by our names; ``transfer`` per GiB to each other Region."""

    rates: dict[str, float]
    transfer: dict[str, float]
    published: date

    def to_json(self) -> dict[str, Any]:
        return {"rates": self.rates, "transfer": self.transfer, "published": self.published.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reading:
        return cls(
            rates=dict(data["rates"]),
            transfer=dict(data["transfer"]),
            published=date.fromisoformat(data["published"]),
        )


def read(items: Iterable[str]) -> Reading | None:
    """``items`` of PriceList as GetProducts returns them: each a JSON document. Those we do not need, or cannot read, are
    passed over; None when nothing was left."""
    products = [product for item in items for product in _products(item)]
    if not products:
        return None
    rates = {name: price for name, wanted in RATES.items() if (price := _rate(products, wanted)) is not None}
    transfer: dict[str, float] = {}
    for product in products:
        target = product.attributes.get("toRegionCode")
        if product.service == _TRANSFER and target and not product.attributes.get("operation"):
            transfer[target] = max(product.price, transfer.get(target, 0.0))
    if not rates and not transfer:
        return None
    return Reading(rates=rates, transfer=transfer, published=max(product.published for product in products))


def _rate(products: Iterable[_Product], wanted: tuple[_Wanted, ...]) -> float | None:
    for one in wanted:
        found = [
            product.price
            for product in products
            if product.service == one.service
            and one.usage in product.names
            and one.operation in (_ANY, product.attributes.get("operation", ""))
        ]
        if found:
            return round(max(found) * one.per, 10)  # the list has ten decimals
    return None


def _products(item: str) -> Iterator[_Product]:
    try:
        document = json.loads(item)
        attributes = document["product"]["attributes"]
        price = _price(document["terms"]["OnDemand"])
        published = date.fromisoformat(document["publicationDate"][:10])
        usage = attributes["usagetype"]
        prefix = _PREFIX.match(usage)
        service = document.get("serviceCode") or attributes["servicecode"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # not a product with an on-demand price
    if price is not None:
        yield _Product(service, (usage, usage[prefix.end() :] if prefix else usage), attributes, price, published)


def _price(terms: Mapping[str, Any]) -> float | None:
    """USD of one unit in the lowest band that is not free; None when there is none in USD."""
    bands = [
        (float(band["beginRange"]), float(band["pricePerUnit"]["USD"]))
        for term in terms.values()
        for band in term["priceDimensions"].values()
        if "USD" in band["pricePerUnit"]
    ]
    paid = sorted(band for band in bands if band[1] > 0)
    if paid:
        return paid[0][1]
    return 0.0 if bands else None


# ---- using ------------------------------------------------------------------------------------------------------------


def prices(region: str, reading: Reading) -> Prices:
    """Of AWS's list; what it lacks is taken from the bundled table and named in ``missing``."""
    base = bundled(region)
    rates = reading.rates
    missing = [name for name in RATES if name not in rates]
    if not reading.transfer:
        missing.append("transfer")
    return replace(
        base,
        source=PriceSource.PRICE_LIST,
        published=reading.published,
        exact=True,
        snapshot=rates.get("snapshot", base.snapshot),
        direct=DirectPrices(
            lists=rates.get("direct.lists", base.direct.lists),
            reads=rates.get("direct.reads", base.direct.reads),
            writes=rates.get("direct.writes", base.direct.writes),
        ),
        storage=MappingProxyType({kind: _class(kind, rates, base.storage[kind]) for kind in StorageClass}),
        get=rates.get("get", base.get),
        kms=rates.get("kms", base.kms),
        transfer=MappingProxyType({**base.transfer, **reading.transfer}),
        transfer_elsewhere=max([*reading.transfer.values(), *([] if reading.transfer else [base.transfer_elsewhere])]),
        missing=tuple(missing),
    )


def _class(kind: StorageClass, rates: Mapping[str, float], base: ClassPrices) -> ClassPrices:
    def of(mode: RetrievalMode, known: RetrievalPrice) -> RetrievalPrice:
        path = f"{kind.value}.{mode.value}"
        return RetrievalPrice(rates.get(f"{path}.gib", known.gib), rates.get(f"{path}.requests", known.requests))

    return ClassPrices(
        month=rates.get(f"{kind.value}.month", base.month),
        put=rates.get(f"{kind.value}.put", base.put),
        retrieval=MappingProxyType({mode: of(mode, known) for mode, known in base.retrieval.items()}),
    )
