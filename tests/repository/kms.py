"""A key service in memory: data keys open under the key and the context they were made with, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.domain.errors import AwsNotFound, AwsRejected
from server.repository.crypto import canonical

KEY = "arn:aws:kms:eu-central-1:111122223333:key/6f2c1f3e-0000-4000-8000-000000000001"
OTHER_KEY = "arn:aws:kms:eu-central-1:111122223333:key/6f2c1f3e-0000-4000-8000-000000000002"
MULTI_REGION = "arn:aws:kms:eu-central-1:111122223333:key/mrk-6f2c1f3e000040008000000000000003"
REPLICA = MULTI_REGION.replace("eu-central-1", "eu-west-1")


class MemoryKms:
    """Replicas of a multi-Region key share their material, as in AWS."""

    def __init__(self, *key_ids: str) -> None:
        self._keys = {key_id.rsplit("/", 1)[-1]: AESGCM(os.urandom(32)) for key_id in key_ids}

    def generate(self, key_id: str, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        plaintext, nonce = os.urandom(32), os.urandom(12)
        return plaintext, nonce + self._key(key_id).encrypt(nonce, plaintext, canonical(context))

    def decrypt(self, ciphertext: bytes, context: Mapping[str, str], key_id: str) -> bytes:
        try:
            return self._key(key_id).decrypt(ciphertext[:12], ciphertext[12:], canonical(context))
        except InvalidTag:
            raise AwsRejected(
                "Another key or context.", operation="kms:Decrypt", aws_code="InvalidCiphertextException"
            ) from None

    def _key(self, key_id: str) -> AESGCM:
        try:
            return self._keys[key_id.rsplit("/", 1)[-1]]
        except KeyError:
            raise AwsNotFound("No such key.", operation="kms:Decrypt", aws_code="NotFoundException") from None
