from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest

from devices.measurement import DeviceFacts, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.registry import open_device
from latency_tables import tflite
from latency_tables.errors import BadTable
from latency_tables.ops import OpSpec
from latency_tables.profiles.attribute import attribute_network
from latency_tables.records import Origin
from latency_tables.store import LatencyTable
from mnas import spaces
from mnas.architecture import Architecture, Block
from mnas.errors import BadArchitecture, BadInput
from mnas.lower import lower
from mnas.recipes import recipe
from mnas.spaces import Choice, covering
from mnas.spaces.covering import covering_choices
from mnas.tables import TableRequest, held_out, model_for, networks_of, open_or_create

FACTS = DeviceFacts("desk", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
SMALL = TableRequest.for_space(
    "mnasnet-small-images", resolution=28, width=0.05, channels=1, classes=10, anchors=3
)


class Tiny:
    """A space of two networks, which differ in one kernel."""

    name, resolution = "tiny", 8
    choices = (Choice("kernel", (3, 5)),)
    stages = (range(1),)

    @property
    def frame(self) -> Architecture:
        whole = self.decode((0,))
        return replace(whole, blocks=(whole.blocks[0], whole.blocks[2]))

    def block(self, stage: int, indices: Sequence[int], filters: int) -> Block:
        return self.decode(indices).blocks[1]

    def decode(self, indices: Sequence[int]) -> Architecture:
        kernel = self.choices[0].options[indices[0]]
        return Architecture.parse(
            f"in_8x8x1,cv_r1_k3_s2_c8_noskip,cv_r1_k{kernel}_s1_c8_noskip,cv_r1_k1_s1_c8_noskip,fc_2"
        )


class Desk:
    """A device that is only asked what it is."""

    facts = FACTS
    settings = Settings()


@pytest.fixture
def table(tmp_path):
    with open_or_create(tmp_path / "t.db", SMALL, Desk()) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "figures", "dtype"),
    [
        ("mnasnet", {"resolution": 96, "width": 0.5}, "int8"),
        ("mnasnet-small-images", {"classes": 10}, "float32"),
        ("mnasnet-small-images", {"resolution": 28, "width": 0.05}, "float32"),
    ],
)
def test_a_cover_has_every_operator_of_the_space(name, figures, dtype):
    space = spaces.create(name, **figures)
    found = covering_choices(space, dtype)
    covered = {spec for choices in found for spec in lower(space.decode(choices), dtype).graph.specs}
    assert covered == set(spaces.operators(space, dtype).specs)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("times", [2, 3, 60])
def test_a_cover_has_every_operator_as_often_as_wanted(times):
    space = spaces.create("mnasnet-small-images", resolution=28, width=0.05)
    found = covering_choices(space, "float32", times)
    networks = [frozenset(lower(space.decode(choices), "float32").graph.specs) for choices in found]
    counts = Counter(spec for network in networks for spec in network)
    assert set(counts) == set(spaces.operators(space, "float32").specs)
    assert min(counts.values()) >= times
    assert len(set(networks)) == len(networks)
    # no more than so many covers, one after the other, would need
    assert len(found) <= times * len(covering_choices(space, "float32")) + times


def test_a_space_with_too_few_networks_is_measured_whole():
    tiny = Tiny()
    for times in (2, 5, 300):
        assert len(covering_choices(tiny, "float32", times=times)) == 2


def test_a_large_number_leaves_no_operator_out():
    times = 150
    space = spaces.create("mnasnet-small-images", resolution=28, width=0.05, classes=10)
    every = spaces.operators(space, "float32")
    found = covering_choices(space, "float32", times)
    counts = Counter(
        spec for choices in found for spec in set(lower(space.decode(choices), "float32").graph.specs)
    )
    assert set(counts) == set(every.specs)
    assert min(counts.values()) >= times


def test_operators_that_no_network_has_are_named(monkeypatch):
    every = spaces.operators(Tiny(), "float32")
    beyond = OpSpec.parse("custom:Beyond/float32/1x4/1x4")
    monkeypatch.setattr(covering, "operators", lambda *_: replace(every, specs=(*every.specs, beyond)))
    with pytest.raises(BadInput, match=r"1 operator\(s\) of the space tiny .* custom:Beyond"):
        covering_choices(Tiny(), "float32", times=3)


def test_an_impossible_cover_is_refused():
    with pytest.raises(BadInput, match="0 networks"):
        covering_choices(spaces.create("mnasnet-small-images"), "float32", times=0)


def test_the_papers_space_needs_no_more_networks_than_a_stage_has_alternatives():
    # 2 kernels x 3 x 3 filters of a convolution, 3 x 3 of each other operation: no network has two of them
    assert len(covering_choices(spaces.create("mnasnet"), "float32")) == 45


def test_anchors_are_drawn_by_their_seed_and_are_no_cover():
    networks = networks_of(SMALL)
    anchors = [one for one in networks if one.role == "anchor"]
    assert len(anchors) == 3
    assert len({one.graph.specs for one in networks}) == len(networks)
    assert networks_of(SMALL) == networks
    assert networks_of(replace(SMALL, seed=1))[-3:] != networks[-3:]


def test_held_out_networks_are_in_the_space_but_not_in_the_table(table):
    seen = {one.graph.specs for one in table.networks()}
    first, other = held_out(table, 20, 0), held_out(table, 20, 1)
    assert len({graph.specs for _, graph in first}) == 20
    assert not seen & {graph.specs for _, graph in (*first, *other)}
    assert first == held_out(table, 20, 0)
    assert first != other
    operators = set(table.operators())
    assert all(str(spec) in operators for _, graph in first for spec in graph.specs)


def test_a_table_remembers_its_request(table):
    assert TableRequest.of_table(table) == SMALL


def test_a_table_of_before_covers_could_be_chosen_is_opened_again(tmp_path):
    old = asdict(replace(SMALL, cover_times=1))
    del old["cover_times"]
    networks = networks_of(replace(SMALL, cover_times=1))
    with LatencyTable.create(tmp_path / "t.db", Origin(old, FACTS, Settings()), networks) as made:
        assert TableRequest.of_table(made) == replace(SMALL, cover_times=1)
    with open_or_create(tmp_path / "t.db", replace(SMALL, cover_times=1), Desk()):
        pass
    with pytest.raises(BadTable, match="cover_times is 2, the table's is 1"):
        open_or_create(tmp_path / "t.db", SMALL, Desk())


def test_a_table_is_opened_again_with_its_networks(table):
    with open_or_create(table.address, SMALL, Desk()) as again:
        assert again.networks() == table.networks()


def test_another_request_is_refused_by_what_differs(table):
    with pytest.raises(BadTable) as caught:
        open_or_create(table.address, replace(SMALL, classes=7, dtype="int8"), Desk())
    assert "classes is 7, the table's is 10; dtype is 'int8', the table's is 'float32'" in str(caught.value)


def test_a_table_of_no_space_is_refused(tmp_path):
    with (
        LatencyTable.create(tmp_path / "t.db", Origin({}, FACTS, Settings()), []) as made,
        pytest.raises(BadInput, match="not made for a search space"),
    ):
        held_out(made, 1, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float16"}, "float16"),
        ({"anchors": 0}, "at least 1"),
        ({"cover_times": 0}, "cover_times is 0"),
    ],
)
def test_impossible_requests_are_refused(change, message):
    with pytest.raises(BadInput, match=message):
        replace(SMALL, **change)


def test_the_spaces_own_figures_fill_a_request():
    found = asdict(TableRequest.for_space("mnasnet-small-images"))
    assert (found["resolution"], found["width"]) == (32, 0.5)


def test_a_recipe_is_taken_as_the_table_is(table):
    expected = recipe("mobilenetv2").at(28, 28, channels=1, classes=10)
    assert model_for(table, "mobilenetv2") == lower(expected).graph
    assert model_for(table, str(expected)) == lower(expected).graph


def test_a_file_is_read(table, tmp_path):
    content = tflite.write(lower(recipe("mobilenetv2-0.5").at(32, 32)).graph)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert model_for(table, str(path)) == content


def test_what_is_no_network_is_refused(table, tmp_path):
    with pytest.raises(BadInput, match="no file"):
        model_for(table, str(tmp_path / "missing.tflite"))
    with pytest.raises(BadInput, match="mobilenetv2"):
        model_for(table, "mobilenetv99")
    with pytest.raises(BadArchitecture, match="xy"):
        model_for(table, "in_28x28x1,xy_r1,fc_10")
    with pytest.raises(BadArchitecture):
        model_for(table, "in_" + "9" * 5000)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("name", ["mnasnet", "mnasnet-small-images"])
def test_profiles_of_the_spaces_networks_can_be_attributed(name, dtype):
    """On the runtime at hand, whatever it leaves to its own kernels."""
    space = spaces.create(name, resolution=32, width=0.25, classes=10)
    rng = random.Random(0)
    graphs = [lower(space.decode(spaces.sample(space, rng)), dtype).graph for _ in range(8)]
    models = [ModelFile(str(number), tflite.write(graph)) for number, graph in enumerate(graphs)]
    device = open_device("local")
    try:
        results = list(device.stream(models, Plan(warmup_runs=0, min_runs=2, per_operator=True)))
    finally:
        device.close()
    for result in results:
        assert isinstance(result, Pass), result
        assert result.operators is not None
        found = attribute_network(graphs[int(result.model)], result.operators)
        total_ms = sum(row.mean_ms for row in result.operators)
        assert sum(one.mean_ms for one in found) == pytest.approx(total_ms)
