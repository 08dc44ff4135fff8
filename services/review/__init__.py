"""The weekly review: a week against the four before it, what is open, what is due, what people noted and agreed."""
