"""The border of a head's mixed fit: which columns share a variance, which lean together, and what makes up a part.

Border columns stand in this order: intercept, prognosis, client columns, landmarks (the *client part*, the same for
all therapists of a client) | what the pair columns usually are for this client | therapist columns | pair columns.

The second block is Mundlak's device (1978, "On the pooling of time series and cross section data", Econometrica 46):
how well wishes are met depends on how many there are, so that a pair column also says something of the client. With
the client's usual value beside it, its coefficient rests on differences between therapists for one client alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.config import FitConfig, Kind
from training.design import Design
from training.head import joint_effects
from training.mixed import Solution, Structure

Floats = npt.NDArray[np.float64]

NEAR = 0.1
"""Where the SD of standardised coefficients is looked for first, in noise SDs."""


@dataclass(frozen=True)
class Border:
    """How many columns each block of the border has, and what the field expects of those that rank."""

    fixed: int
    """Columns without a prior: the intercept, and the prognosis where there are trees."""
    client: int
    usual: int
    therapist: tuple[str, ...]
    pair: tuple[str, ...]
    expected: Mapping[str, float]
    """Column -> sign of its relation with a better result, where the field expects one."""

    @classmethod
    def of(
        cls,
        design: Design,
        expected: Mapping[str, float],
        fit: FitConfig,
        landmarks: int = 0,
        usual: int = 0,
        boosted: bool = True,
    ) -> "Border":
        """The border of a head; without trees the prognosis is constant and joins the shrunken client columns."""
        names = (design.therapist.names, design.pair.names) if fit.columns else ((), ())
        return cls(2 if boosted else 1, design.ranking.start + landmarks, usual if fit.columns else 0, *names, expected)

    @property
    def therapists_from(self) -> int:
        """Where the columns that rank begin."""
        return self.client + self.usual

    @property
    def pairs_from(self) -> int:
        """Where the pair columns begin."""
        return self.therapists_from + len(self.therapist)

    @property
    def size(self) -> int:
        """Columns in all."""
        return self.pairs_from + len(self.pair)

    def shrunken(self) -> tuple[tuple[int, ...], ...]:
        """Groups of columns with a common variance.

        Ranking columns of which the field expects something have variances of their own, so that many columns of
        which nothing is expected do not shrink the few that matter.
        """
        groups = [list(range(self.fixed, self.client)), list(range(self.client, self.therapists_from))]
        for start, names in ((self.therapists_from, self.therapist), (self.pairs_from, self.pair)):
            groups.append([start + i for i, name in enumerate(names) if name in self.expected])
            groups.append([start + i for i, name in enumerate(names) if name not in self.expected])
        return tuple(tuple(group) for group in groups if group)

    def leans(self) -> tuple[tuple[float, ...], ...]:
        """Pair columns lean together the way the field expects, as far as the data say so."""
        signs = [self.expected.get(name, 0.0) for name in self.pair]
        if sum(sign != 0 for sign in signs) < 2:
            return ()
        return ((0.0,) * self.pairs_from + tuple(signs),)

    def structure(self, design: Design, fit: FitConfig, kind: Kind) -> Structure:
        """Variances of the mixed fit: of therapist intercept and slope, of strengths, of each group and each lean."""
        return Structure(
            joint=len(joint_effects(design, fit)),
            strengths=len(design.problems) if fit.therapist and fit.strengths else 0,
            border=self.size,
            shrunken=self.shrunken(),
            dispersion=None if kind == "gaussian" else 1.0,
            leans=self.leans(),
            near=NEAR,
        )


def without_usual(solution: Solution, border: Border, columns: Floats) -> Solution:
    """The solution without the columns of what is usual for a client, for those of whom that is not known.

    What they said goes to the client columns as far as those can tell it (least squares over the border `columns`).
    """
    inside, outside = slice(0, border.client), slice(border.client, border.therapists_from)
    kept = np.r_[0 : border.client, border.therapists_from : border.size]
    said = columns[:, outside] @ solution.b[outside]
    b = solution.b.copy()
    b[inside] += np.linalg.lstsq(columns[:, inside], said, rcond=1e-8)[0]
    common = slice(0, border.therapists_from)
    settled = solution.at_zero - solution.per_border[:, :, common] @ solution.b[common]
    per_border = solution.per_border.copy()
    per_border[:, :, common] = 0.0
    return replace(
        solution,
        b=b[kept],
        b_cov=solution.b_cov[np.ix_(kept, kept)],
        at_zero=settled,
        per_border=np.ascontiguousarray(per_border[:, :, kept]),  # in the order in which a bundle reads it back
        shrinkage=solution.shrinkage[kept],
    )
