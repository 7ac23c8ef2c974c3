"""The rules of the domain, tested without files, clocks or mocks."""
