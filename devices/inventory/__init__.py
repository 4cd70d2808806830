"""Which devices a bench has: `bench.toml`, its entries, their addresses. Reaches none."""
