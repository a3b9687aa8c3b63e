"""Uploads: from the network into a spool folder, and from there, cut into chunks, into the queue.

The database and the spool hold all the state:

- A file lies in the spool under the id of its upload, never under its name. The process that
  receives or cuts it holds a lock on it (flock), which ends with the process, however that ends.
- So an open upload whose file is not locked is one that broke off: a half file is removed, or kept
  for some days if its sender can go on; a whole one is cut, from where the last attempt stopped, by
  any coordinator that shares the folder.
- The spool has an id, and every upload's record names it: no coordinator touches an upload whose
  file lies on another machine.
"""
