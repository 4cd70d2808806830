"""TensorFlow as this project uses it: quiet, repeatable, and with layers of its own. Knows no space."""
