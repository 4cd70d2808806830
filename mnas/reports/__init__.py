"""What people and scripts read of a run: summary, plot, cards, and the file to ship. Trains nothing."""
