"""Per-therapist sums: all that the mixed fit needs of the rows, and additive, so that parts of a dataset add up."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.sparse

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AT_ONCE = 1024
"""Rows weighted together: the copy stays small however many there are."""


@dataclass(frozen=True)
class Sums:
    """Weighted cross products of border columns X (n, p), therapist columns Z (n, q) and response y (n,).

    `zz` (t, q, q), `zx` (t, q, p) and `zy` (t, q) are kept per therapist; `xx`, `xy`, `yy`, `rows` and `log_weight`
    over all rows.
    """

    zz: Floats
    zx: Floats
    zy: Floats
    xx: Floats
    xy: Floats
    yy: float
    rows: int
    log_weight: float

    @classmethod
    def of(
        cls, x: Floats, z: Floats, y: Floats, therapist: Ints, therapists: int, weight: Floats | None = None
    ) -> Self:
        """From rows; `therapist` holds positions 0..therapists-1, `weight` each row's relative precision."""
        w = np.ones(len(y)) if weight is None else weight
        q, p = z.shape[1], x.shape[1]
        row, column = np.nonzero(z)  # few: of the strengths, a row has at most one
        place = (therapist[row] * q + column, row)
        wz = scipy.sparse.csr_array((z[row, column] * w[row], place), shape=(therapists * q, len(y)))
        xx, root = np.zeros((p, p)), np.sqrt(w)
        for some in (slice(start, start + AT_ONCE) for start in range(0, len(y), AT_ONCE)):
            part = x[some] * root[some, None]
            xx += part.T @ part
        return cls(
            zz=(wz @ z).reshape(therapists, q, q),
            zx=(wz @ x).reshape(therapists, q, p),
            zy=(wz @ y).reshape(therapists, q),
            xx=xx,
            xy=(w * y) @ x,
            yy=float((w * y) @ y),
            rows=len(y),
            log_weight=float(np.log(w).sum()),
        )

    def __sub__(self, other: "Sums") -> "Sums":
        """What is left without some of the rows."""
        return Sums(
            self.zz - other.zz,
            self.zx - other.zx,
            self.zy - other.zy,
            self.xx - other.xx,
            self.xy - other.xy,
            self.yy - other.yy,
            self.rows - other.rows,
            self.log_weight - other.log_weight,
        )

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.zz + other.zz,
            self.zx + other.zx,
            self.zy + other.zy,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
            self.rows + other.rows,
            self.log_weight + other.log_weight,
        )
