"""Views of models and runs: one self-contained page, and texts for documents. Uses the results of other layers."""
