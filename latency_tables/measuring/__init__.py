"""What a job at a table measures, in which order, when again, and when it ends."""
