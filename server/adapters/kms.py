"""Port ``Kms`` over AWS KMS: data keys under a symmetric customer key of an account and Region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from server.domain.errors import AwsRejected
from server.domain.workload import Place
from server.ports import Aws

PERMISSIONS: Final = ("kms:Decrypt", "kms:GenerateDataKey")  # on the keys of repositories
KEY_SPEC: Final = "AES_256"


def key_region(arn: str) -> str:
    """The Region of a key's ARN. AwsRejected when it is none."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "kms" or not parts[3]:
        raise AwsRejected(
            f"{arn!r} is not the ARN of a KMS key.",
            operation="kms:DescribeKey",
            aws_code="InvalidArnException",
            remedy="It looks like arn:aws:kms:REGION:ACCOUNT:key/ID.",
        )
    return parts[3]


class AwsKms:
    """The keys ``place``'s account may use in its Region."""

    def __init__(self, aws: Aws, place: Place) -> None:
        self._aws = aws
        self._place = place

    def generate(self, key_id: str, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        answer = self._aws.call(
            self._place, "kms", "generate_data_key", KeyId=key_id, KeySpec=KEY_SPEC, EncryptionContext=dict(context)
        )
        return bytes(answer["Plaintext"]), bytes(answer["CiphertextBlob"])

    def decrypt(self, ciphertext: bytes, context: Mapping[str, str], key_id: str) -> bytes:
        answer = self._aws.call(
            self._place, "kms", "decrypt", CiphertextBlob=ciphertext, EncryptionContext=dict(context), KeyId=key_id
        )
        return bytes(answer["Plaintext"])
