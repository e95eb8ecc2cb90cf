"""Pictures of models and runs: one self-contained page, and texts for documents. Reads what the other layers hand out."""
