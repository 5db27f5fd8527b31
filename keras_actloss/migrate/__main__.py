"""`python -m keras_actloss.migrate old.h5 new.keras`: a clean file of a model saved with TFA.

Exits with 0 if all of the model is in the new file, with 3 if it is written without what the report
says, with 1 if it is not written, and with 2 if the arguments are wrong.
"""

import argparse
import sys
import warnings


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m keras_actloss.migrate",
        description="Write a model that was saved with TensorFlow Addons as a clean .keras file.",
        epilog="Exit status: 0 all is there, 3 written but not compiled or without a metric, "
        "1 not written.",
    )
    parser.add_argument("old", help="a .keras or .h5 file")
    parser.add_argument("new", help="the .keras file to write")
    parser.add_argument("--overwrite", action="store_true", help="write over a file that is there")
    parser.add_argument(
        "--gelu",
        choices=["tanh", "exact"],
        default="tanh",
        help="what a bare gelu was: TFA's function, or Keras's own (default: %(default)s)",
    )
    parser.add_argument("--optimizer", help="an optimizer in place of that in the file, as adam")
    parser.add_argument("--no-compile", action="store_true", help="leave the loss out")
    parser.add_argument("--tf-keras", action="store_true", help="write a file for tf_keras")
    return parser


def main(arguments=None):
    options = _parser().parse_args(arguments)
    print(f"Reading {options.old}", file=sys.stderr)
    # Not before the arguments are known to be right, since a backend takes seconds to load.
    from keras_actloss import migrate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The report has it.
        try:
            report = migrate.convert(
                options.old,
                options.new,
                overwrite=options.overwrite,
                compile=not options.no_compile,
                optimizer=options.optimizer,
                gelu=options.gelu,
                tf_keras=options.tf_keras,
            )
        except (ImportError, OSError, TypeError, ValueError) as error:
            print(f"{options.old} is not converted: {error}", file=sys.stderr)
            return 1
    print(report)
    print(f"Wrote {options.new}", file=sys.stderr)
    return 3 if report.missing else 0


if __name__ == "__main__":
    sys.exit(main())
