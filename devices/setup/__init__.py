"""What has to be on a device before it can measure, and how it gets there. Measures nothing itself."""
