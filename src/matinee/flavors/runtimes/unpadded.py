"""Rows of one length together and without padding, for models that look at it."""

import numpy as np

from matinee.core.prediction import FloatArray
from matinee.flavors.runtimes import Session
from matinee.flavors.tokenization import Ids


class Unpadded:
    """Not every architecture looks past padding.

    FNet mixes all positions, MobileBERT puts each token's neighbours into it, a GPT-2 that was not told of the padding
    token takes padding for the end of the text, XLNet wants it in front.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, ids: Ids, mask: Ids) -> FloatArray:
        """Logits, float32 [rows, labels]; `mask` tells how long each row is."""
        lengths = mask.sum(axis=1)
        groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
        parts = [(rows, slice(0, int(lengths[rows[0]]))) for rows in groups]
        logits = np.concatenate([self._session.run(ids[rows, own], mask[rows, own]) for rows, own in parts])
        ordered = np.empty_like(logits)
        ordered[np.concatenate(groups)] = logits
        return ordered

    def close(self) -> None:
        """Close the session."""
        self._session.close()
