"""What only a coordinator keeps in, or reads from, the database."""
