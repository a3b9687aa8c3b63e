"""The queue in MongoDB: claims, recordings, workers, and what is read from them."""
