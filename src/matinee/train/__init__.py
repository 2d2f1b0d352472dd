"""From a data set to a bundle: how is a model made, and how good is it?

`dataset` reads and splits the reviews, `linear` and `transformer` train a model and write a bundle, `cascade` puts two
bundles together, `evaluate` measures any of them. Training libraries are imported when a command first needs them.
"""
