"""What keys do with runs and tasks: ask what has to be asked, then call an operation of the engine."""
