"""Audio: bytes to samples and back, recordings read in constant memory, cuts at quiet moments."""
