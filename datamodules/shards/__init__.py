"""A data set's audio packed into shards: writing, checking, reading and streaming them."""
