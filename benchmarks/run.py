"""Measure forward and backward passes and training steps beside Keras's own and native functions.

    python benchmarks/run.py                      # everything, some minutes a backend
    python benchmarks/run.py --only huber --modes jax torch

Writes `results.json` and `results.md` beside this file. README.md says how the numbers come about.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# What is shown in parentheses: a copy of the bytes, and the loss of PyTorch or optax.
ASIDE = ("copy", "peer")
# mode -> the environment of its process
MODES = {
    "torch": {"KERAS_BACKEND": "torch"},
    "jax": {"KERAS_BACKEND": "jax"},
    "tensorflow": {"KERAS_BACKEND": "tensorflow"},
    "tensorflow-xla": {"KERAS_BACKEND": "tensorflow"},
}
# One core, and memory that is kept: what is left is the work of the functions.
QUIET = {
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    # Or each large array would be fresh from the kernel: glibc ignores a threshold beyond 32 MB,
    # and what a thread has of its own ends at 64 MB.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_ARENA_MAX": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def in_process(mode, script, *arguments):
    """What a script prints last, as JSON, in a quiet process of its own for a mode."""
    command = [sys.executable, script, *arguments]
    environment = {**os.environ, **QUIET, **MODES[mode]}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def by_mode(script, description, measure):
    """Mode -> what `measure(mode)` prints last, for a script that is started anew for each.

    Returns:
        The modes that the command names, all by default; None in a process for one of them.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--measure", choices=MODES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments.measure)
    return {mode: in_process(mode, script, "--measure", mode) for mode in arguments.modes}


def measure(mode, only, rounds):
    """The rows of one mode."""
    return in_process(mode, HERE / "measure.py", mode, "--rounds", str(rounds), "--only", *only)


def held_to(row):
    """The name of the fastest other one."""
    others = {other: ratio for other, ratio in row["ratios"].items() if other not in ASIDE}
    return max(others, key=others.__getitem__)


def factor(row):
    """How many times what the fastest other one costs that it is held to."""
    return row["ratios"][held_to(row)]


def table(rows, kind):
    """Markdown: a line a case, a column a mode."""
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    names = list(dict.fromkeys(row["name"] for row in rows if row["kind"] == kind))
    found = {(row["name"], row["mode"]): row for row in rows if row["kind"] == kind}
    lines = [f"| {kind} | " + " | ".join(modes) + " |", "|---" * (len(modes) + 1) + "|"]
    for name in names:
        cells = []
        for mode in modes:
            row = found.get((name, mode))
            aside = [row["ratios"][other] for other in ASIDE if row and other in row["ratios"]]
            cells.append(
                f"{factor(row):.2f}{''.join(f' ({a:.1f})' for a in aside)}" if row else "-"
            )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def limit(row):
    """What a case may cost: where nobody has the same function, 1.3 times the plain expression."""
    return 1.3 if "plain" in row["ratios"] else 1.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--only", nargs="+", default=[""], help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=15, help="pairs of runs a case")
    arguments = parser.parse_args()
    rows = []
    for mode in arguments.modes:
        print(f"Measuring on {mode}", flush=True)
        rows += measure(mode, arguments.only, arguments.rounds)
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    text = "\n\n".join(table(rows, kind) for kind in kinds)
    print(text)
    if arguments.only == [""] and arguments.modes == list(MODES):
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        (HERE / "results.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))
        (HERE / "results.md").write_text(
            "# Results\n\nTime of ours over the faster of Keras's and the backend's native "
            "function; 1 is equal, less is faster. In parentheses, over a copy of the same bytes "
            "and, of losses, over that of PyTorch or optax. What neither has is beside the plain "
            "expression of it in Keras's ops. "
            f"{machine}.\n\n{text}\n"
        )
    slow = [row for row in rows if factor(row) > limit(row)]
    print(f"\n{len(rows) - len(slow)} of {len(rows)} cases cost at most what they may.")
    for row in slow:
        print(f"  {row['mode']}, {row['kind']}, {row['name']}: {factor(row):.2f}")


if __name__ == "__main__":
    main()
