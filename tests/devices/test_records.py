"""Every value of `devices.measurement` becomes JSON and comes back the same; anything else is refused."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import measurement
from devices.errors import BadSettings
from devices.measurement import (
    DELEGATES,
    Cluster,
    Context,
    DeviceFacts,
    Failure,
    Measurement,
    ModelFile,
    OperatorTime,
    Pass,
    Settings,
    Summary,
)
from devices.records import from_plain, to_plain

words = st.text(st.characters(codec="utf-8"), max_size=12)
times = st.floats(0, 1e9)
cores = st.lists(st.integers(0, 127), min_size=1, max_size=4).map(tuple)
asked = st.builds(
    Settings,
    threads=st.integers(1, 64),
    cpus=st.none() | cores,
    delegate=st.sampled_from(DELEGATES) | words.filter(bool).map("external:{}".format),
)
summaries = (
    st.lists(st.floats(0.001, 1e6), min_size=2, max_size=7)
    .map(sorted)
    .flatmap(
        lambda values: st.builds(
            Summary,
            count=st.integers(1, 10**6),
            mean_ms=st.floats(values[0], values[-1]),
            min_ms=st.just(values[0]),
            max_ms=st.just(values[-1]),
            std_ms=st.none() | times,
            median_ms=st.none() | st.sampled_from(values),
            p5_ms=st.none() | st.just(values[0]),
            p95_ms=st.none() | st.just(values[-1]),
            warmup_mean_ms=st.none() | times,
        )
    )
)
values: dict[type[Any], st.SearchStrategy[Any]] = {
    Settings: asked,
    Summary: summaries,
    Cluster: st.builds(Cluster, cpus=cores, max_khz=..., part=...),
    OperatorTime: st.builds(OperatorTime, index=st.integers(0, 999), label=words, mean_ms=times),
    Failure: st.builds(Failure, words, words, words, words),
}
values[DeviceFacts] = st.builds(
    DeviceFacts,
    runtime_sha256=...,
    abi=...,
    soc=...,
    clusters=st.lists(values[Cluster], max_size=3).map(tuple),
    os_build=...,
)
values[Context] = st.builds(
    Context,
    facts=values[DeviceFacts],
    settings=asked,
    delegated_operators=...,
    total_operators=...,
    throttled=...,
    governor=...,
    frequency_khz=...,
    fence=...,
    suspect=...,
    other_load=st.none() | st.floats(0, 1),
    temperature_before_c=st.none() | st.floats(-40, 150),
    temperature_after_c=st.none() | st.floats(-40, 150),
    conditions=st.lists(words, max_size=3).map(tuple),
    libraries=st.lists(words, max_size=2).map(tuple),
)
values[Pass] = st.builds(
    Pass,
    samples_ms=st.lists(times, max_size=5).map(tuple),
    reference_ms=st.none() | times,
    first_inference_ms=st.none() | times,
    initialisation_ms=st.none() | times,
    operators=st.none() | st.lists(values[OperatorTime], max_size=3).map(tuple),
    context=values[Context],
    all_preempted=...,
    summary=st.none() | summaries,
    energy_mj=st.none() | times,
)
values[Measurement] = st.builds(
    Measurement,
    passes=st.lists(
        st.builds(
            Pass,
            samples_ms=st.lists(times, min_size=1, max_size=3).map(tuple),
            reference_ms=st.none() | times,
            first_inference_ms=st.none() | times,
            initialisation_ms=st.none() | times,
            operators=st.none(),
            context=values[Context],
            summary=st.none(),
            energy_mj=st.none() | times,
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
)


def test_every_value_is_tested_here() -> None:
    kinds = {
        kind
        for _, kind in inspect.getmembers(measurement, inspect.isclass)
        if kind.__module__ == measurement.__name__ and dataclasses.is_dataclass(kind)
    }
    assert kinds - {ModelFile} == set(values)  # a model's bytes are a file, not a record


@pytest.mark.parametrize("kind", values, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_value_comes_back_from_json_the_same(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(values[kind])
    text = json.dumps(to_plain(value), allow_nan=False)
    back = from_plain(kind, json.loads(text))
    assert back == value
    assert type(back) is kind
    assert json.dumps(to_plain(back)) == text


@given(values[Pass])
def test_tuples_and_values_within_are_themselves_again(value: Pass) -> None:
    back = from_plain(Pass, json.loads(json.dumps(to_plain(value))))
    assert isinstance(back.samples_ms, tuple)
    assert isinstance(back.context.facts.clusters, tuple)
    assert all(isinstance(one, Cluster) for one in back.context.facts.clusters)
    assert back.operators is None or all(isinstance(one, OperatorTime) for one in back.operators)
    assert hash(back.context.facts) == hash(value.context.facts)


def test_what_a_record_leaves_out_has_its_default() -> None:
    assert from_plain(Settings, {}) == Settings()
    assert from_plain(Cluster, {"cpus": [4, 5]}) == Cluster((4, 5))


@pytest.mark.parametrize(
    ("kind", "plain", "says"),
    [
        (Settings, {"thread": 2}, "Settings has unknown fields: thread"),
        (Failure, {"model": "m"}, "Failure cannot be read"),
        (Settings, {"threads": 0}, "threads is 0"),
        (Settings, {"threads": "two"}, "Settings cannot be read"),
        (Settings, {"delegate": "tpu"}, "no delegate 'tpu'"),
        (Cluster, {"cpus": 4}, "4 is not a list"),
        (Cluster, {"cpus": "45"}, "not a list"),
        (Summary, {"count": 0, "mean_ms": 1, "min_ms": 1, "max_ms": 1}, "no statistics of a burst"),
        (Measurement, {"model": "m", "sha256": "", "model_bytes": 1, "passes": []}, "at least one sample"),
        (Measurement, {"model": "m", "sha256": "", "model_bytes": 1, "passes": ["x"]}, "not an object"),
    ],
)
def test_what_is_no_record_is_refused(kind: type[Any], plain: dict[str, Any], says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        from_plain(kind, plain)


def test_an_unknown_field_deep_within_is_refused() -> None:
    facts = DeviceFacts("a", "m", "c", 1, None, "os", None, "r", "1", clusters=(Cluster((0,)),))
    plain = json.loads(json.dumps(to_plain(facts)))
    plain["clusters"][0]["colour"] = "red"
    with pytest.raises(BadSettings, match="Cluster has unknown fields: colour"):
        from_plain(DeviceFacts, plain)
