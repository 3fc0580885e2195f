"""One module a paper; see DESIGN: papers import models, data and stats, never another paper, never a widget."""
