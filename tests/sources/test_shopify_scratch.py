"""Pieces that wait on disk are readable to the process that put them there, and to no other."""

import pytest
from cryptography.exceptions import InvalidTag

from regulars.vault.scratch import ScratchCipher

PLAIN = b"m1@example.invalid"


def test_a_piece_comes_back_and_is_not_readable_meanwhile() -> None:
    cipher = ScratchCipher()
    sealed = [cipher.seal(number, PLAIN) for number in (1, 2)]
    assert sealed[0] != sealed[1]
    assert all(PLAIN not in one for one in sealed)
    assert [cipher.open(number, one) for number, one in zip((1, 2), sealed, strict=True)] == [
        PLAIN,
        PLAIN,
    ]


def test_another_process_cannot_open_it() -> None:
    with pytest.raises(InvalidTag):
        ScratchCipher().open(1, ScratchCipher().seal(1, PLAIN))
