"""What `docs/migration.md` says is the same as the peers' is so, by values that they computed."""

import json

import keras
import numpy as np
import peer_names
import pytest

from keras_actloss import layers, losses

pytestmark = pytest.mark.slow

TABLE = json.loads(peer_names.VALUES.read_text())
SAME = [(peer, row) for peer, rows in peer_names.ROWS.items() for row in rows if row.ours]


@pytest.mark.parametrize(("peer", "row"), SAME, ids=[f"{p} {row.theirs}" for p, row in SAME])
def test_ours_is_theirs(peer, row):
    ours = eval(row.ours, vars(layers) | vars(losses) | peer_names.SIZES)
    if row.inputs == "x":
        got = keras.ops.convert_to_numpy(ours(peer_names.X))
    else:
        got = float(ours(*peer_names.INPUTS[row.inputs]))
    np.testing.assert_allclose(got, TABLE[peer]["values"][row.theirs], rtol=2e-5, atol=1e-6)


def test_every_value_has_its_row():
    for peer, recorded in TABLE.items():
        assert list(recorded["values"]) == [row.theirs for row in peer_names.ROWS[peer] if row.ours]
    assert list(TABLE) == list(peer_names.ROWS) == list(peer_names.PEERS)


def test_the_page_is_that_of_the_table():
    assert peer_names.PAGE.read_text() == peer_names.page(TABLE), "run python tests/peer_names.py"
