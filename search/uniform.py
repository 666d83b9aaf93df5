"""The uniform soup: the average of all members, scored once."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..spaces.canonical import soup
from .history import FloatArray, History
from .searcher import Searcher


class Uniform(Searcher):
    """Proposes the uniform soup once (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482), and then nothing."""

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the x of the uniform soup, float64, `dimension`, or None where it was tried.

        Raises:
            InputError: the space does not contain it.
        """
        space = history.space
        x = space.vector(soup(range(space.members), space.groups, space.members))
        if x is None:
            raise InputError(
                f"the space does not contain the uniform soup of its {space.members} members, which is all that "
                "uniform tries; widen its bounds, or take kind box, simplex or subset"
            )
        return None if history.tried(x) else x
