"""Is everything that is not Python written as its readers expect: workflows, image, compose, charts, manifests?"""
