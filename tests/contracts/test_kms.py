"""The ``Kms`` port: data keys open with the key and context they were made with; the fake, and KMS of the demo account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.adapters.aws import Boto3Aws
from server.adapters.clock import SystemClock
from server.adapters.kms import PERMISSIONS, AwsKms, key_region
from server.domain.errors import AwsError, AwsRejected
from server.ports import Kms
from tests.conftest import DemoCloud
from tests.demo_account import HOME
from tests.repository.kms import KEY, OTHER_KEY, MemoryKms

CONTEXT = {"holdfast:repository": "7b1c"}


@pytest.fixture(params=["memory", "aws"])
def service(request: pytest.FixtureRequest) -> Iterator[tuple[Kms, str, str, str]]:
    """A key service, two keys of it, and one it does not have."""
    if request.param == "memory":
        yield MemoryKms(KEY, OTHER_KEY), KEY, OTHER_KEY, KEY.replace("000000000001", "000000000009")
        return
    cloud: DemoCloud = request.getfixturevalue("demo_cloud")
    aws = Boto3Aws(SystemClock(), endpoint_url=cloud.url)
    keys = [aws.call(HOME, "kms", "create_key")["KeyMetadata"]["Arn"] for _ in range(2)]
    yield AwsKms(aws, HOME), keys[0], keys[1], keys[0][:-12] + "000000000009"
    assert aws.actions - {"kms:CreateKey"} <= set(PERMISSIONS)
    aws.close()


def test_a_data_key_opens_with_its_key_and_context(service: tuple[Kms, str, str, str]) -> None:
    kms, key, _, _ = service
    plain, sealed = kms.generate(key, CONTEXT)
    assert len(plain) == 32
    assert plain not in sealed
    assert kms.decrypt(sealed, CONTEXT, key) == plain
    assert kms.generate(key, CONTEXT)[0] != plain


def test_and_with_nothing_else(service: tuple[Kms, str, str, str]) -> None:
    kms, key, other, absent = service
    _, sealed = kms.generate(key, CONTEXT)
    for context, with_key in (({**CONTEXT, "more": "x"}, key), (CONTEXT, other)):
        with pytest.raises(AwsError):
            kms.decrypt(sealed, context, with_key)
    with pytest.raises(AwsError):
        kms.decrypt(bytes(len(sealed)), CONTEXT, key)
    with pytest.raises(AwsError):
        kms.generate(absent, CONTEXT)


def test_the_region_is_in_the_arn() -> None:
    assert key_region(KEY) == "eu-central-1"
    for wrong in ("alias/backups", "arn:aws:s3:::bucket", "arn:aws:kms::1:key/x"):
        with pytest.raises(AwsRejected, match="is not the ARN of a KMS key"):
            key_region(wrong)
