"""What a model is measured by: scores on image sets, costs, latency, receptive field."""
