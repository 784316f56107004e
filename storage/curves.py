"""The learning curve of one run, and its form in the database: a compressed array.

A curve is kept as one value, not as a row a point: a dashboard reads whole curves, never points.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What reading a damaged zip file raises beside built-in errors.
_DAMAGED = (zipfile.BadZipFile, zlib.error)


class CurveError(ValueError):
    """A curve whose arrays do not fit together, or bytes that are no curve."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What a run reported while it trained, one entry a report, each array of shape (n_reports,).

    Parameters
    ----------
    step : array of int64
        Optimizer steps done.
    tokens : array of float64
        Tokens trained on so far.
    flops : array of float64
        Training compute so far, FLOP.
    loss : array of float64
        Held-out loss, nats a token; NaN where the run had diverged.
    train_loss : array of float64
        Training loss, nats a token.
    lr : array of float64
        Learning rate of the step.
    seconds : array of float64
        Training time so far, s.
    noise_scale : array of float64, optional
        Critical batch by the gradient noise scale, tokens; NaN where a report has none. None for a
        run that did not measure it.

    Raises
    ------
    CurveError
        If an array is not one-dimensional, or their lengths differ.
    """

    step: NDArray[np.int64]
    tokens: NDArray[np.float64]
    flops: NDArray[np.float64]
    loss: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    lr: NDArray[np.float64]
    seconds: NDArray[np.float64]
    noise_scale: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Take the arrays as numpy arrays of their types, and refuse unequal lengths."""
        for name, given in self.columns().items():
            array = np.asarray(given, dtype=_RECORD[name])
            if array.shape != (np.size(self.step),):
                raise CurveError(
                    f"curve: {name} has shape {array.shape}; each array holds one entry a report, "
                    f"as step does with {np.size(self.step)}"
                )
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        """Return the number of reports."""
        return len(self.step)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, without those that the run has not."""
        arrays = {name: getattr(self, name) for name in _RECORD}
        return {name: array for name, array in arrays.items() if array is not None}


_RECORD: dict[str, type[np.generic]] = {
    field.name: np.int64 if field.name == "step" else np.float64 for field in fields(Curve)
}
_OPTIONAL = ("noise_scale",)


def encode(curve: Curve) -> bytes:
    """Pack a curve into bytes: an npz file of one structured array, a field a quantity."""
    columns = curve.columns()
    records = np.empty(len(curve), dtype=[(name, _RECORD[name]) for name in columns])
    for name, array in columns.items():
        records[name] = array
    buffer = io.BytesIO()
    np.savez_compressed(buffer, curve=records)
    return buffer.getvalue()


def decode(data: bytes) -> Curve:
    """Unpack what `encode` made; never runs code that the bytes may hold (no pickle).

    Raises
    ------
    CurveError
        If the bytes are no curve, or a damaged one.
    """
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise zipfile.BadZipFile("no npz file")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            records: NDArray[Any] = archive["curve"]
            lacking = set(_OPTIONAL).difference(records.dtype.names or ())
            return Curve(**{name: records[name] for name in _RECORD if name not in lacking})
    except (ValueError, LookupError, RuntimeError, OSError, EOFError, *_DAMAGED) as error:
        raise CurveError(f"not a stored curve ({len(data)} bytes): {error}") from error
