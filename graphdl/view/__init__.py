"""Pictures of models and runs: one self-contained page, and texts for documents. Reads what other layers hand out."""
