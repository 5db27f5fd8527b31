"""Draw the pictures of the README, once for each theme: `make pictures`."""

from pathlib import Path

from keras_actloss.plot import THEMES, plot_activations

IMAGES = Path(__file__).with_name("images")
NAMES = ("elu", "gelu", "tanh", "swiglu", "sparsemax")


def draw(folder):
    """Write the pictures to `folder` and return their paths."""
    paths = {theme: Path(folder, f"activations-{theme}.svg") for theme in THEMES}
    for theme, path in paths.items():
        plot_activations(NAMES, theme=theme, path=path)
    return list(paths.values())


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    print("Wrote", *draw(IMAGES))
