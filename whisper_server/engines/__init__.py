"""The engines: `base` is the protocol, each other module the sole importer of one library."""
