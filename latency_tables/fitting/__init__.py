"""From stored passes to figures, calibrations and intervals: measures and stores nothing."""
