"""Inside the model: lens, patching, circuits, probes, neurons, concept vectors."""
