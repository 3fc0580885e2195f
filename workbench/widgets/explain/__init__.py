"""The explainability widgets."""
