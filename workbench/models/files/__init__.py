"""A model's files: what a name means, where they come from, what their headers say, what is kept of them."""
