"""What the HTTP servers of both packages have in common."""
