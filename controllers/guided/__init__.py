"""The strategy `predictor_guided`: accuracy is expensive and predicted, latency is known and looked up."""
