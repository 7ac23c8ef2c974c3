"""The store on PostgreSQL, for several machines with one set of caps and keys."""
