"""The stack as Pulumi components: `Farshore(name, StackConfig)` is all of it, each file one part of it.

Every component takes `name, args, opts`, frozen arguments and an explicit provider per region, so that a platform
engineer can put one part, or the whole, into a program of their own.
"""
