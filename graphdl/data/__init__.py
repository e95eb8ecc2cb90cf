"""Data sets, augmentation, batches and prefetching: NumPy on the host, no device."""
