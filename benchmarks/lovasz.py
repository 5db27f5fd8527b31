"""What a Lovasz loss costs against the number of pixels, with a sort and with bins.

    python benchmarks/lovasz.py                # every backend, ten minutes; writes lovasz.md
    python benchmarks/lovasz.py --modes jax    # one backend; writes nothing

Forward and backward pass of `lovasz_hinge` over one image of which a fifth is in the mask, in
milliseconds of one processor, and how far the gradient of the bins is off that of float64
(relative, root of the sum of squares), there and where a thousandth is in the mask.
"""

import json
import os
import statistics
import sys
import time

from run import HERE, MODES, by_mode

SIZES = [2**k for k in range(10, 23, 2)]
SHARES = (0.2, 0.001)


def _exact(errors, positive):
    """Gradient of the Lovasz extension, in float64."""
    import numpy as np

    order = np.argsort(-errors, kind="stable")
    yes = positive[order].astype("float64")
    jaccard = 1 - (yes.sum() - yes.cumsum()) / (yes.sum() + (1 - yes).cumsum())
    steps = np.empty_like(errors)
    steps[order] = np.diff(jaccard, prepend=0)
    return steps


def measure(mode):
    """A row for each size: pixels, milliseconds with a sort and with bins, errors of the bins."""
    import numpy as np
    from measure import BACKEND, forward_and_backward

    from keras_actloss.losses import lovasz
    from keras_actloss.testing.backend import value_and_gradient

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rng, rows = np.random.default_rng(0), []

    def image(size, share):
        y = (rng.random((1, size)) < share).astype("int32")
        return y, ((2 * y - 1) * 1.5 + 1.5 * rng.normal(size=y.shape)).astype("float32")

    def error(y, x):
        _, gradient = value_and_gradient(lambda x: lovasz.lovasz_hinge(y, x), x)
        errors = np.maximum(1 - np.float64(x[0]) * (2 * y[0] - 1), 0)
        truth = _exact(errors, y[0]) * (1 - 2 * y[0]) * (errors > 0)
        return float(np.linalg.norm(gradient[0] - truth) / np.linalg.norm(truth))

    for size in SIZES:
        y, x = image(size, SHARES[0])
        runs = []
        for limit in (2**31, 0):
            lovasz.SORTED = limit
            run = forward_and_backward(
                lambda x, y=y: lovasz.lovasz_hinge(y, x), x, mode.endswith("-xla")
            )
            run(), run()
            runs.append(run)
        times = [[], []]
        for _ in range(7):
            # What is not compiled looks the limit up in each run.
            for limit, run, taken in zip((2**31, 0), runs, times, strict=True):
                lovasz.SORTED = limit
                start = time.process_time()
                run()
                taken.append(1e3 * (time.process_time() - start))
        off = error(y, x), error(*image(size, SHARES[1]))
        rows.append((size, *map(statistics.median, times), *off))
        print(f"  {BACKEND}, {size} pixels", file=sys.stderr, flush=True)
    print(json.dumps(rows))


def main():
    found = by_mode(__file__, __doc__, measure)
    if found is None:
        return
    of_shares = [f"error, {share:.1%}" for share in SHARES]
    lines = ["| pixels | " + " | ".join([*found, *of_shares]) + " |"]
    lines.append("|---" * (len(found) + 1 + len(SHARES)) + "|")
    for rows in zip(*found.values(), strict=True):
        cells = [f"{sort:.1f} / {bins:.1f}" for _, sort, bins, *_ in rows]
        cells += [f"{off:.0e}" for off in rows[0][3:]]
        lines.append(f"| {rows[0][0]:,} | " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    print(table)
    if list(found) == list(MODES):
        text = (
            "# Lovasz losses by the number of pixels\n\nMilliseconds with a sort / with bins, "
            "forward and backward, and how far the\ngradient of the bins is off by the share of "
            "pixels in the mask; `lovasz.py` says how.\n\n"
        )
        (HERE / "lovasz.md").write_text(f"{text}{table}\n")


if __name__ == "__main__":
    main()
