"""Data influence: which training rows made this prediction, checked by taking them away and training again.

The model is a logistic head on fixed embeddings (a small fine-tune whose optimum is unique, so that retraining is
exact). Its influence function (Koh and Liang 2017): leaving row i out changes the test loss by about g_test^T H^-1 g_i,
with g the gradients and H the Hessian of the training loss at the optimum. The check retrains without each row and
correlates the change of test loss with the prediction. Controls: random scores, and the cosine of embeddings (signed by
whether the labels agree), which needs no theory at all.
"""

from collections.abc import Iterator

import numpy as np

from ....errors import UsageError
from ....results import Results
from ....rows import Row

ARMS = ("influence function", "control: similarity of texts", "control: random scores")


def influence_on_head(
    embeddings: np.ndarray,
    labels,
    test_embeddings: np.ndarray,
    test_labels,
    *,
    penalty: float = 0.1,
    n_remove: int | None = None,
    seed: int = 0,
) -> Results:
    """Influence of every training row on the test loss of a logistic head, checked by retraining.

    Parameters
    ----------
    embeddings, test_embeddings : (N, H), (M, H)
    labels, test_labels : (N,), (M,) of 0 and 1
    penalty : float
        L2 penalty on the weights (not on the bias); above 0, so that the Hessian can be inverted.
    n_remove : int, optional
        Rows to leave out for the check, drawn at random. Default: all, each once.

    Returns
    -------
    Results
        Arms `ARMS`, items the rows left out, measures "predicted" and "actual": the change of the mean test loss
        without the row (positive rows help: the loss rises), and what it was after training again. They are compared
        by `Results.correlations`.

    Raises
    ------
    UsageError
        Shapes that do not fit, no rows, numbers that are not finite, labels other than 0 and 1 or of one kind only,
        fewer than 4 rows to leave out, a penalty that is not positive.
    """
    x, y = np.asarray(embeddings, dtype=float), np.asarray(labels, dtype=float)
    tx, ty = np.asarray(test_embeddings, dtype=float), np.asarray(test_labels, dtype=float)
    for features, given, what in ((x, y, "training"), (tx, ty, "test")):
        if features.ndim != 2 or len(features) != len(given) or features.shape[1] != x.shape[1]:
            raise UsageError(f"the {what} rows are {features.shape} with {len(given)} labels: give (N, H) and N labels")
        if not len(features) or not np.isfinite(features).all():
            bad = int((~np.isfinite(features)).any(1).sum())
            raise UsageError(
                f"{bad} of {len(features)} {what} rows hold nan or infinity: give at least one row, all finite"
            )
        if not set(given.tolist()) <= {0.0, 1.0}:
            raise UsageError(f"the {what} labels hold {sorted(set(given.tolist()))}: give 0 and 1")
    if len(set(y.tolist())) < 2:
        raise UsageError("the training labels are all the same: give rows of both kinds")
    if not penalty > 0:
        raise UsageError(f"penalty={penalty}: give a positive number, or the Hessian cannot be inverted")
    rng = np.random.default_rng(seed)
    count = len(x) if n_remove is None else min(n_remove, len(x))
    if count < 4:
        raise UsageError(f"{count} rows to leave out are too few for a correlation: give at least 4")
    removed = np.sort(rng.choice(len(x), count, replace=False))
    x, tx = (np.hstack([rows, np.ones((len(rows), 1))]) for rows in (x, tx))  # the bias is the last column
    weights = train_head(x, y, penalty)
    p = _sigmoid(x @ weights)
    hessian = (x * (p * (1 - p))[:, None]).T @ x + _ridge(x.shape[1], penalty)
    test_gradient = tx.T @ (_sigmoid(tx @ weights) - ty) / len(tx)
    # without row i the optimum moves by about + H^-1 g_i, because g_i no longer pulls
    scores = (x * (p - y)[:, None]) @ np.linalg.solve(hessian, test_gradient)
    unit, test_unit = (rows[:, :-1] / np.maximum(np.linalg.norm(rows[:, :-1], axis=1, keepdims=True), 1e-12)
                       for rows in (x, tx))  # fmt: skip
    similarity = (unit @ test_unit.T * np.where(y[:, None] == ty[None], 1, -1)).mean(1)
    drawn = dict(zip(removed, rng.normal(size=count)))
    predicted = dict(zip(ARMS, (scores, similarity, drawn)))  # of row i: predicted[arm][i]
    before = _loss(tx, ty, weights)
    results = Results("influence", settings=[*(part.tolist() for part in (x, y, tx, ty)), penalty])

    def left_out(missing) -> Iterator[Row]:
        for item in dict.fromkeys(item for _, item, _ in missing):
            row = int(item)
            keep = np.arange(len(x)) != row
            actual = _loss(tx, ty, train_head(x[keep], y[keep], penalty, start=weights)) - before
            for arm in (arm for arm in ARMS if (arm, item, seed) in missing):
                yield Row(arm, item, seed, measures={"predicted": predicted[arm][row], "actual": actual})

    results.compute([(arm, str(row), seed) for row in removed for arm in ARMS], left_out)
    return results


def train_head(x: np.ndarray, y: np.ndarray, penalty: float, *, start: np.ndarray | None = None) -> np.ndarray:
    """The optimum (H + 1,) of the summed log-loss plus penalty / 2 * |weights|^2, the bias (last column) left free."""
    from scipy.optimize import minimize

    ridge = _ridge(x.shape[1], penalty)

    def loss(w):
        z = x @ w
        return float(np.logaddexp(0, z).sum() - y @ z + w @ ridge @ w / 2), x.T @ (_sigmoid(z) - y) + ridge @ w

    def hessian(w):
        p = _sigmoid(x @ w)
        return (x * (p * (1 - p))[:, None]).T @ x + ridge

    found = minimize(loss, np.zeros(x.shape[1]) if start is None else start, jac=True, hess=hessian,
                     method="trust-exact", options={"gtol": 1e-8})  # fmt: skip
    return found.x


def _ridge(size: int, penalty: float) -> np.ndarray:
    diagonal = np.full(size, penalty)
    diagonal[-1] = 1e-6  # the bias: next to nothing, only so that the Hessian is never singular
    return np.diag(diagonal)


def _sigmoid(z):
    from scipy.special import expit

    return expit(z)


def _loss(x, y, weights) -> float:
    z = x @ weights
    return float((np.logaddexp(0, z) - y * z).mean())
