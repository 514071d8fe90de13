"""Block and page tokens: good for what they were made for until they expire, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.demo.tokens import BadToken, Tokens

TOKENS = Tokens(b"k" * 32)
places = st.integers(0, 2**64 - 1)
numbers = st.integers(0, 2**32 - 1)
moments = st.integers(0, 2**31)


@given(numbers, numbers, places, moments)
def test_a_block_token_gives_its_place_until_it_expires(disk: int, index: int, place: int, expires: int) -> None:
    token = TOKENS.for_block(disk, index, place, expires)
    assert re.fullmatch(r"[A-Za-z0-9+/=]{1,256}", token)
    assert TOKENS.block(token, disk, index, expires) == place
    with pytest.raises(BadToken):
        TOKENS.block(token, disk, index, expires + 1)


@given(numbers, numbers, numbers, numbers)
def test_a_block_token_is_for_one_block_of_one_disk(disk: int, index: int, other_disk: int, other_index: int) -> None:
    token = TOKENS.for_block(disk, index, 1, 10)
    if (disk, index) != (other_disk, other_index):
        with pytest.raises(BadToken):
            TOKENS.block(token, other_disk, other_index, 0)


@given(st.text(), st.text(), numbers)
def test_a_page_token_is_for_one_question(question: str, other: str, start: int) -> None:
    token = TOKENS.for_page(question, start, 100)
    assert TOKENS.page(token, question, 100) == start
    with pytest.raises(BadToken):
        TOKENS.page(token, question + other + "x", 0)


@given(st.binary(max_size=80))
def test_noise_is_no_token(noise: bytes) -> None:
    import base64

    with pytest.raises(BadToken):
        TOKENS.block(base64.b64encode(noise).decode(), 1, 1, 0)
    with pytest.raises(BadToken):
        TOKENS.page(noise.decode("latin-1"), "q", 0)


def test_tokens_of_another_cloud_are_refused() -> None:
    token = Tokens(b"o" * 32).for_block(1, 2, 3, 10)
    with pytest.raises(BadToken):
        TOKENS.block(token, 1, 2, 0)
