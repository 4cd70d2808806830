"""The tables of a latency table's database. Knows neither rows nor how a database is reached."""

from __future__ import annotations

import sqlalchemy as sa

#: `meta` names the format and its version, so that foreign and newer files are told apart from broken ones
FORMAT = "mnas latency table"
SCHEMA_VERSION = 2

metadata = sa.MetaData()

#: what the table is of, and since when: format, schema_version, created_at, purpose, facts, settings; where
#: they apply governor, reanchored_at, stale, calibration and given_from (of given figures)
meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
networks = sa.Table(
    "networks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("graph", sa.Text, nullable=False),
)
#: the text form of every operator of the networks, and of every block that ran as one
operators = sa.Table(
    "operators",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
)
passes = sa.Table(
    "passes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("network_id", sa.ForeignKey("networks.id"), nullable=False),
    sa.Column("pass_index", sa.Integer, nullable=False),
    sa.Column("started_at", sa.String(40), nullable=False),
    sa.Column("model_sha256", sa.String(64), nullable=False),
    sa.Column("samples_ms", sa.Text, nullable=False),
    sa.Column("dropped", sa.Integer, nullable=False),
    sa.Column("reference_ms", sa.Float),
    sa.Column("first_inference_ms", sa.Float),
    sa.Column("initialisation_ms", sa.Float),
    sa.Column("peak_memory_bytes", sa.BigInteger),
    sa.Column("energy_mj", sa.Float),
    sa.Column("context", sa.Text, nullable=False),
    sa.UniqueConstraint("network_id", "pass_index"),
)
#: `position` is the first node of the unit, `positions` all of them where there are several, comma between
operator_times = sa.Table(
    "operator_times",
    metadata,
    sa.Column("pass_id", sa.ForeignKey("passes.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("positions", sa.Text),
    sa.Column("operator_id", sa.ForeignKey("operators.id"), nullable=False),
    sa.Column("mean_ms", sa.Float, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
)
#: figures that were not measured for this table
given = sa.Table(
    "given",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("latency_ms", sa.Float, nullable=False),
    sa.Column("std_ms", sa.Float),
    sa.Column("count", sa.Integer),
    sa.Column("method", sa.String(16), nullable=False),
    sa.Column("exponent", sa.Float, nullable=False),
)
failures = sa.Table(
    "failures",
    metadata,
    sa.Column("network_id", sa.ForeignKey("networks.id"), primary_key=True),
    sa.Column("pass_index", sa.Integer, nullable=False),
    sa.Column("error", sa.String(64), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("failed_at", sa.String(40), nullable=False),
)
