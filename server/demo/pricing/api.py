"""The Price List query API: DescribeServices, GetAttributeValues and GetProducts, over one table."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from server.demo import clock
from server.demo.credentials import Caller
from server.demo.errors import AwsError
from server.demo.pricing.table import Band, Product, products
from server.demo.wire import Reply, Request

REGIONS: Final = ("us-east-1", "eu-central-1", "ap-south-1")  # where AWS has the service
PAGE_MAX: Final = 100
_TERM: Final = "JRTCKXETXF"  # AWS's code for "on demand"


def handle(request: Request, caller: Caller) -> Reply:
    """Errors: AwsError."""
    if caller.region not in REGIONS:
        raise AwsError("UnknownEndpoint", f"The Price List service has no endpoint in {caller.region}.", 404)
    operation = request.headers.get("x-amz-target", "").rsplit(".", 1)[-1]
    answer = _OPERATIONS.get(operation)
    if answer is None:
        raise AwsError("NotImplemented", f"The demo account cannot do {operation or 'this'} of the Price List yet.", 501)
    try:
        asked = json.loads(request.body or b"{}")
    except ValueError:
        raise AwsError("SerializationException", "The request is not JSON.")
    return Reply(200, json.dumps(answer(asked)).encode(), [("content-type", "application/x-amz-json-1.1")])


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Sequence[tuple[Product, Mapping[str, str]]]]:
    """Service → its products, each with the attributes it is found by."""
    found: dict[str, list[tuple[Product, Mapping[str, str]]]] = {}
    for product in products():
        found.setdefault(product.service, []).append((product, _attributes(product)))
    return found


def _attributes(product: Product) -> dict[str, str]:
    return {
        **product.attributes,
        "usagetype": product.usage_type,
        "operation": product.operation,
        "servicecode": product.service,
        "servicename": product.service,
    }


def _service(asked: Mapping[str, Any]) -> Sequence[tuple[Product, Mapping[str, str]]]:
    found = _table().get(asked.get("ServiceCode", ""))
    if found is None:
        raise AwsError("InvalidParameterException", f"There is no service {asked.get('ServiceCode')!r} in the price list.")
    return found


def _describe_services(asked: Mapping[str, Any]) -> dict[str, Any]:
    names = [asked["ServiceCode"]] if asked.get("ServiceCode") else sorted(_table())
    services = []
    for name in names:
        attributes = {key for _, known in _service({"ServiceCode": name}) for key in known} | {"productFamily"}
        services.append({"ServiceCode": name, "AttributeNames": sorted(attributes)})
    return _page("Services", services, asked) | {"FormatVersion": "aws_v1"}


def _get_attribute_values(asked: Mapping[str, Any]) -> dict[str, Any]:
    name = asked.get("AttributeName", "")
    values = {product.family if name == "productFamily" else known.get(name) for product, known in _service(asked)}
    return _page("AttributeValues", [{"Value": value} for value in sorted(filter(None, values))], asked)


def _get_products(asked: Mapping[str, Any]) -> dict[str, Any]:
    found = [
        product
        for product, known in _service(asked)
        if all(_matches(entry, {**known, "productFamily": product.family}) for entry in asked.get("Filters") or ())
    ]
    page = _page("PriceList", found, asked)
    page["PriceList"] = [json.dumps(_priced(product)) for product in page["PriceList"]]
    return page | {"FormatVersion": "aws_v1"}


def _matches(entry: Mapping[str, str], known: Mapping[str, str]) -> bool:
    kind, wanted, value = entry.get("Type"), entry.get("Value", ""), known.get(entry.get("Field", ""))
    if kind in ("TERM_MATCH", "EQUALS"):
        return value == wanted
    if kind == "CONTAINS":
        return value is not None and wanted in value
    if kind == "ANY_OF":
        return value in wanted.split(",")
    if kind == "NONE_OF":
        return value not in wanted.split(",")
    raise AwsError("InvalidParameterException", f"A filter cannot be of the type {kind!r}.")


def _page(member: str, items: Sequence[Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    size, token = int(asked.get("MaxResults") or PAGE_MAX), asked.get("NextToken")
    if not 1 <= size <= PAGE_MAX:
        raise AwsError("InvalidParameterException", f"MaxResults must be between 1 and {PAGE_MAX}.")
    start = _position(token) if token else 0
    page: dict[str, Any] = {member: list(items[start : start + size])}
    if start + size < len(items):
        page["NextToken"] = base64.b64encode(f"from {start + size}".encode()).decode()
    return page


def _position(token: str) -> int:
    try:
        return int(base64.b64decode(token, validate=True).decode().removeprefix("from "))
    except ValueError:
        raise AwsError("InvalidNextTokenException", "The pagination token is invalid.")


# ---- one product


def _code(*parts: str) -> str:
    """Sixteen characters that stay the same for the same product."""
    return base64.b32encode(hashlib.sha256("/".join(parts).encode()).digest()).decode()[:16]


def _published() -> datetime:
    """Price lists appear on the first of the month."""
    return datetime.fromtimestamp(clock.now(), UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _priced(product: Product) -> dict[str, Any]:
    sku = _code(product.service, product.usage_type, product.operation)
    moment = _published().strftime("%Y-%m-%dT%H:%M:%SZ")
    term = {
        "priceDimensions": {
            f"{sku}.{_TERM}.{_code(sku, str(band.begin))[:10]}": _rate(sku, product, band) for band in product.bands
        },
        "sku": sku,
        "effectiveDate": moment,
        "offerTermCode": _TERM,
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": product.family, "attributes": _attributes(product), "sku": sku},
        "serviceCode": product.service,
        "terms": {"OnDemand": {f"{sku}.{_TERM}": term}},
        "version": _published().strftime("%Y%m%d%H%M%S"),
        "publicationDate": moment,
    }


def _rate(sku: str, product: Product, band: Band) -> dict[str, Any]:
    return {
        "unit": product.unit,
        "beginRange": str(band.begin),
        "endRange": "Inf" if band.end is None else str(band.end),
        "description": f"${band.price:.10f} per {product.unit} - {product.usage_type}",
        "appliesTo": [],
        "rateCode": f"{sku}.{_TERM}.{_code(sku, str(band.begin))[:10]}",
        "pricePerUnit": {"USD": f"{band.price:.10f}"},
    }


_OPERATIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "DescribeServices": _describe_services,
    "GetAttributeValues": _get_attribute_values,
    "GetProducts": _get_products,
}
