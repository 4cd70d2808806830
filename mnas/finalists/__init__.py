"""From a search's front to trained, exported, measured and tested files. Draws and prints nothing."""
