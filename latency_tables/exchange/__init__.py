"""Tables in other forms, joined and compared: CSV, Parquet, YAML of blocks, merge, diff. Measures nothing."""
