"""The queue over HTTP: for machines that must not reach the database, and for people's browsers.

Parses, calls the floors below, answers. It keeps no state: everything is in the database, so
several may run, and any may be started again at any moment.
"""
