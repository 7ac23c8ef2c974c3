"""Screen 2: the history of runs, with its filter, its paging and its export."""
