"""A Togai to develop against: an HTTP server that behaves as togai.md says the billing API does.

It shares no code with the gateway on purpose. Two readings of one contract that agree prove more than one
reading used twice. Nothing here imports a model or the ORM; the state is a SQLite file of its own.
"""
