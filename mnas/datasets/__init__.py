"""Image classification datasets, one reader each; `mnas.data` is their public face."""
